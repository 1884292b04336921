"""The life of a run of either track: one process's work on it, from where the last checkpoint was taken."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import Event
from typing import Any, TypeVar

from gedi_nesy.core import processes
from gedi_nesy.core.fit import DivergedError, Training
from gedi_nesy.errors import UserError
from gedi_nesy.runs.callbacks import Interrupted, Logger, Progress, Saver, sign_of_life
from gedi_nesy.runs.checkpoint import check_place, fitting, join_shares, pick_share, restore
from gedi_nesy.runs.device import cpu_threads
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.runs.logs import open_logs
from gedi_nesy.runs.phases import Callback, Learner, PhaseState, train_phases
from gedi_nesy.runs.recipe import RunRecipe
from gedi_nesy.runs.rollback import Rollback
from gedi_nesy.runs.signals import stop_on_signal
from gedi_nesy.runs.time_budget import TimeBudget

Result = TypeVar("Result")


class Session:
    """One process's work on a run. Where several processes share a run, only the first writes to its folder.

    Args:
        learner: what is trained.
        recipe: every setting.
        folder: the run's.
        progress: told the row of each logged step, and signs of life: `callbacks.sign_of_life`.
        callbacks: the track's own; their state goes into the checkpoint.
        before: seconds that were spent on the run before, where no checkpoint says it.

    Attributes:
        rollback: the returns to an earlier state so far.
        time: what the budget of training time has ended so far.
    """

    def __init__(
        self,
        learner: Learner,
        recipe: RunRecipe,
        folder: RunFolder,
        progress: Progress,
        callbacks: Sequence[Callback] = (),
        before: float = 0.0,
    ):
        self.learner, self.recipe, self.folder, self.progress = learner, recipe, folder, progress
        self.rollback, self.stop, self.own = Rollback(recipe.guard), Event(), callbacks
        self.before = before  # seconds that earlier processes spent on this run
        self.started = time.monotonic()
        self.time = TimeBudget(recipe.seconds, learner.phases, lambda: self.seconds, self._save)

    @property
    def seconds(self) -> float:
        """The seconds that the run has taken so far, over all its processes."""
        return self.before + time.monotonic() - self.started

    def tell(self, stage: str) -> None:
        """Say what is being done now."""
        self.progress(sign_of_life(stage))

    def run(self, finish: Callable[[Training], Result]) -> Result:
        """Train what is left of the run, then let the track evaluate it and write its results.

        Args:
            finish: takes the last phase's training; called with the folder still locked.

        Raises:
            Interrupted: when a stop was asked for, with the folder's path; the state is saved.
            UserError: when training diverged.
        """
        with self._locked(), cpu_threads(self.recipe.threads):
            state = self._load()
            try:
                return finish(self._train(state))
            except (Interrupted, KeyboardInterrupt) as stopped:
                raise Interrupted(self.folder.path) from stopped
            except (DivergedError, FloatingPointError) as error:
                raise UserError(self._divergence(error)) from error

    def _locked(self) -> AbstractContextManager[None]:
        return self.folder.locked() if processes.rank() == 0 else nullcontext()

    def _load(self) -> dict[str, Any] | None:
        """The checkpoint, if there is one, after everything that needs no phase has been restored from it."""
        state = self.folder.load_checkpoint(self.learner.device)
        check_place(state, len(self.learner.phases), self.folder)
        if state is None:
            return None
        with fitting(self.folder):
            state = pick_share(state)
            self.learner.load_state_dict(state)
            for callback in (*self.own, self.time):
                callback.load_state_dict(state)
        self.before = state["seconds"]
        return state

    def _train(self, state: dict[str, Any] | None) -> Training:
        def put_back(training: Training) -> None:
            if state:
                restore(training, state["training"], self.folder)
                with fitting(self.folder):  # older runs, without a rollback, kept nothing for it
                    self.rollback.load_state_dict(state.get("rollback", self.rollback.state_dict()))

        stepping = partial(stop_on_signal, self.stop, self._answer_stop)
        first = state["phase"] if state else 0
        return train_phases(
            self.learner, self.rollback, self._callbacks(), first=first, restore=put_back, stepping=stepping
        )

    def _callbacks(self) -> list[Callback]:
        """The track's own callbacks, metrics.jsonl, the checkpoint, and last of all the budget of time."""
        saver = Saver(self._save, self.recipe.checkpoint_seconds, self.stop)
        if processes.rank() > 0:
            return [saver, self.time]

        every, logs = self.recipe.log_every, open_logs(self.recipe.log, self.folder)
        logger = Logger(self.folder, self.learner, self.rollback, every, lambda: self.seconds, self.progress, logs)
        return [*self.own, logger, saver, self.time]

    def _save(self, at: PhaseState) -> None:
        state = {"phase": at.phase.number, "training": at.training.state_dict(), "rollback": self.rollback.state_dict()}
        state |= {"seconds": self.seconds} | self.learner.state_dict()
        for callback in (*self.own, self.time):
            state |= callback.state_dict()
        if joined := join_shares(state):
            self.folder.save_checkpoint(joined)

    def _answer_stop(self) -> None:
        self.tell("stopping after this step; Ctrl-C again stops at once")

    def _divergence(self, error: ArithmeticError) -> str:
        """What the user is told: how to start anew with half the learning rate of the phase that diverged."""
        phases = self.learner.phases
        phase = next((phase for phase in phases if phase.name == self.rollback.stage), phases[0])
        half = max(rate for _, rate in phase.stage.learning_rate.points) / 2
        setting = f"{phase.name.split()[0]}.learning_rate={half:g}"
        return (
            f"Training diverged ({error}); {self.folder.path} keeps the last good checkpoint. Start a new run with "
            f"smaller learning rates, for example --set {setting}."
        )
