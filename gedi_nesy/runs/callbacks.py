"""What happens after a training step, in both tracks: logging, saving, stopping; and how a stopped training goes on."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core import processes
from gedi_nesy.core.fit import Training
from gedi_nesy.core.objective import Diagnosis, Objective
from gedi_nesy.errors import UserError
from gedi_nesy.runs.folder import RunFolder, StopRequest
from gedi_nesy.runs.records import check_checkpoint

SIGN_SECONDS = 0.5  # between two signs of life
Progress = Callable[[dict[str, Any]], None]  # is told logged rows, and signs of life


def sign_of_life(stage: str, step: int = 0, steps: int = 0) -> dict[str, Any]:
    """What whoever watches is told of work that logs nothing, now or at all; steps = 0 where it has none."""
    return {"stage": stage, "step": step, "steps": steps}


class Interrupted(Exception):
    """The run was asked to stop; its state is saved."""


class Logger:
    """Logs every so many steps, and the last: losses, weights, diagnosis, speed.

    Args:
        stage: the stage's name.
        steps: the stage's length.
        later: steps of the stages to come.
        every: steps between two rows.
        objective: the terms that are logged.
        diagnose: gives the present diagnosis of each network (of the first restart, where there are several).
        write: takes the row.
        tell: takes signs of life between the rows.
    """

    def __init__(
        self,
        stage: str,
        steps: int,
        later: int,
        every: int,
        objective: Objective,
        diagnose: Callable[[], Mapping[str, Diagnosis]],
        write: Callable[[dict[str, Any]], None],
        tell: Progress,
    ):
        self.stage, self.steps, self.later, self.every, self.objective = stage, steps, later, every, objective
        self.diagnose, self.write, self.tell = diagnose, write, tell
        self.clock, self.step = time.monotonic(), -1
        self.told = self.clock

    def __call__(self, training: Training, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """Write this step's row if it is time."""
        if self.step < 0:
            self.step = training.step - 1  # where this process took over
        now = time.monotonic()
        if training.step % self.every and training.step != self.steps:
            if now - self.told >= SIGN_SECONDS:
                self.told = now
                self.tell(sign_of_life(self.stage, training.step, self.steps))
            return
        training.checks.settle()  # a row of a step that has diverged is none
        rate = (training.step - self.step) / max(now - self.clock, 1e-9)
        self.clock, self.step = now, training.step
        found = self.diagnose().values()
        self.write(
            {
                "stage": self.stage,
                "step": training.step,
                "steps": self.steps,
                "loss": {name: loss.mean().item() for name, loss in losses.items()},
                "each": {name: loss.tolist() for name, loss in losses.items() if loss.numel() > 1},  # network's
                "total": total.item(),
                "weight": self.objective.weights((training.step - 1) / self.steps),
                "optimum": self.objective.optima,
                "D": max(diagnosis.certificate for diagnosis in found),
                "failures": sorted({failure for diagnosis in found for failure in diagnosis.failures}),
                "steps_per_second": round(rate, 2),
                "seconds_left": round((self.steps + self.later - training.step) / rate, 1),
            }
        )


class Saver:
    """Saves a checkpoint every so many seconds, and when the run is asked to stop; all its processes together."""

    def __init__(self, save: Callable[[], None], every: float, stop: StopRequest):
        self.save, self.every, self.stop = save, every, stop
        self.clock = time.monotonic()

    def __call__(self, training: Training, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """Save if it is time.

        Raises:
            Interrupted: after saving, when a stop was asked for.
        """
        stopping, due = processes.anyone(bool(self.stop), time.monotonic() - self.clock >= self.every)
        if stopping:
            self.save()
            raise Interrupted
        if due:
            self.save()
            self.clock = time.monotonic()


def check_place(state: Mapping[str, Any] | None, phases: int, folder: RunFolder) -> None:
    """Whether a checkpoint, if there is one, was taken in a training of so many phases.

    Raises:
        UserError: if it was not.
    """
    with fitting(folder):
        if state is not None:
            check_checkpoint(state)
            if state["phase"] >= phases:
                raise ValueError(f"phase {state['phase']} of {phases}")


def restore(training: Training, state: Mapping[str, Any], folder: RunFolder) -> None:
    """Put a training back to where `state`, one of its checkpoints, was taken.

    Raises:
        UserError: if the checkpoint is of a training with other settings.
    """
    before = _constants(training.optimizer)
    with fitting(folder):
        training.load_state_dict(state)
        if _constants(training.optimizer) != before:
            raise ValueError("the optimiser has other settings")
        for parameter, moments in training.optimizer.state.items():
            if any(moment.dim() and moment.shape != parameter.shape for moment in moments.values()):
                raise ValueError("the optimiser is of another network")


@contextlib.contextmanager
def fitting(folder: RunFolder) -> Iterator[None]:
    """Inside, a checkpoint is read; whatever it makes fail, it is no checkpoint of this run.

    Raises:
        UserError: if it is not.
    """
    try:
        yield
    except UserError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{folder / 'checkpoint.pt'} does not fit {folder / 'config.toml'}, which must be as the run wrote it."
        ) from error


def _constants(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """The settings of an optimiser that a training never changes."""
    return [{k: v for k, v in group.items() if k not in ("params", "lr")} for group in optimizer.param_groups]
