"""The callbacks of both tracks after a training step: rows of metrics.jsonl, checkpoints, stopping."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any

from torch import Tensor

from gedi_nesy.core import processes
from gedi_nesy.core.fit import Training
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.runs.logs import Log
from gedi_nesy.runs.phases import Callback, Learner, PhaseState
from gedi_nesy.runs.rollback import Rollback

SIGN_SECONDS = 0.5  # between two signs of life
Progress = Callable[[dict[str, Any]], None]  # called with logged rows and with signs of life


def sign_of_life(stage: str, step: int = 0, steps: int = 0) -> dict[str, Any]:
    """What `Progress` is told about work that logs nothing, or nothing yet; steps = 0 where it has no steps."""
    return {"stage": stage, "step": step, "steps": steps}


class Interrupted(Exception):
    """The run was asked to stop; its state is saved."""


class Logger(Callback):
    """Keeps metrics.jsonl: a row every so many steps and at a phase's last step, and one for each return.

    Args:
        folder: the run's.
        learner: has the phases and the diagnosis.
        rollback: has the returns to an earlier state after a divergence.
        every: steps between two rows.
        seconds: gives what the run has taken so far.
        tell: also gets each row, and signs of life between the rows.
        logs: also get each row of losses.
    """

    def __init__(
        self,
        folder: RunFolder,
        learner: Learner,
        rollback: Rollback,
        every: int,
        seconds: Callable[[], float],
        tell: Progress,
        logs: Sequence[Log] = (),
    ):
        self.folder, self.learner, self.rollback = folder, learner, rollback
        self.every, self.seconds, self.tell, self.logs = every, seconds, tell, logs

    def on_start(self, state: PhaseState) -> None:
        """Drop the rows of metrics.jsonl beyond this step, and measure the speed from here on."""
        self.state, self.step = state, state.training.step
        self.clock = self.told = time.monotonic()
        self._rewind()
        for log in self.logs:
            log.begin()
        self.tell(sign_of_life(state.phase.name, self.step, state.phase.steps))

    def __call__(self, training: Training, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """Write this step's row if it is time."""
        phase, now = self.state.phase, time.monotonic()
        if training.step % self.every and training.step != phase.steps:
            if now - self.told >= SIGN_SECONDS:
                self.told = now
                self.tell(sign_of_life(phase.name, training.step, phase.steps))
            return
        training.checks.settle()  # a step that has diverged gets no row
        rate = (training.step - self.step) / max(now - self.clock, 1e-9)
        self.clock, self.step = now, training.step
        row = self._row(losses, total, rate)
        self.folder.append_metrics(row)
        for log in self.logs:
            log(row)
        self.tell(row)

    def _row(self, losses: Mapping[str, Tensor], total: Tensor, rate: float) -> dict[str, Any]:
        """Losses, weights, diagnosis and speed at this step."""
        phase, training, objective = self.state.phase, self.state.training, self.state.losses.objective
        later = sum(other.steps for other in self.learner.phases[phase.number + 1 :])
        diagnoses, returns = self.learner.diagnose(training).values(), self.rollback.returns
        return {
            "stage": phase.name,
            "step": training.step,
            "steps": phase.steps,
            "loss": {name: loss.mean().item() for name, loss in losses.items()},
            "each": {name: loss.tolist() for name, loss in losses.items() if loss.numel() > 1},  # network's
            "total": total.item(),
            "weight": objective.weights((training.step - 1) / phase.steps),
            "optimum": objective.optima,
            "D": max(diagnosis.certificate for diagnosis in diagnoses),
            "failures": sorted({failure for diagnosis in diagnoses for failure in diagnosis.failures}),
            "steps_per_second": round(rate, 2),
            "seconds_left": round((phase.steps + later - training.step) / rate, 1),
            "seconds": round(self.seconds(), 2),
            **({"returns": len(returns)} if returns else {}),
        }

    def _rewind(self) -> None:
        """Keep the rows up to here and of every return; a resumed run will log the others again."""
        places = {phase.name: phase.number for phase in self.learner.phases}
        returns, now = self.rollback.returns, (self.state.phase.number, self.step)

        def keep(row: dict[str, Any]) -> bool:
            return row in returns if "return" in row else (places.get(row["stage"], math.inf), row["step"]) <= now

        self.folder.rewind_metrics(keep)
        for entry in returns[sum("return" in row for row in self.folder.read_metrics()) :]:
            self.folder.append_metrics(entry)


class Saver(Callback):
    """Saves a checkpoint when steps begin, every so many seconds, at a phase's end, and when the run is asked to stop.

    All processes of a run save together.
    """

    def __init__(self, save: Callable[[PhaseState], None], every: float, stop: Event):
        self.save, self.every, self.stop = save, every, stop

    def on_start(self, state: PhaseState) -> None:
        """Save where the steps begin."""
        self.state, self.clock = state, time.monotonic()
        self.save(state)

    def __call__(self, training: Training, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """Save if it is time.

        Raises:
            Interrupted: after saving, when a stop was asked for.
        """
        stopping, due = processes.anyone(self.stop.is_set(), time.monotonic() - self.clock >= self.every)
        if stopping or due or training.step == self.state.phase.steps:
            self.save(self.state)
            self.clock = time.monotonic()
        if stopping:
            raise Interrupted
