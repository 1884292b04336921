"""A budget of training time: each phase ends when its share is over, and what is trained by then is the result.

By the clock, for that is what a user waits for. A phase takes one step at least, so that there is a result.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from torch import Tensor

from gedi_nesy.core import processes
from gedi_nesy.core.fit import Training
from gedi_nesy.runs.phases import Callback, Phase, PhaseOver, PhaseState


class TimeBudget(Callback):
    """Ends phases early.

    What is left of the budget when a phase begins is divided among its steps and those of later phases. All processes
    of a run end a phase together.

    Args:
        budget: seconds; None for no limit.
        phases: of the training.
        spent: gives the seconds that the run has taken so far.
        save: keeps the state in which a phase has ended.

    Attributes:
        taken: for each phase that ended early the steps that it took.
    """

    def __init__(
        self,
        budget: float | None,
        phases: Sequence[Phase],
        spent: Callable[[], float],
        save: Callable[[PhaseState], None],
    ):
        self.budget, self.spent, self.save = budget, spent, save
        self.planned = {phase.name: phase.steps for phase in phases}
        left = accumulate(phase.steps for phase in reversed(phases))  # from each phase's first step on
        self.shares = {phase.name: phase.steps / n for phase, n in zip(reversed(phases), left, strict=True)}
        self.began: dict[str, float] = {}  # when each phase took its first step
        self.taken: dict[str, int] = {}

    @property
    def steps(self) -> int:
        """How many steps all phases took."""
        return sum((self.planned | self.taken).values())

    def on_start(self, state: PhaseState) -> None:
        """A phase that had ended before a run was resumed ends where it did.

        Raises:
            PhaseOver: it had, or the time was over before.
        """
        self.state = state
        self.began.setdefault(state.phase.name, self.spent())
        if state.phase.name in self.taken:
            raise PhaseOver
        self._end_if_over()

    def __call__(self, training: Training, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """End the phase if its time is over.

        Raises:
            PhaseOver: it is.
        """
        if training.step < self.state.phase.steps:
            self._end_if_over()

    def _end_if_over(self) -> None:
        phase, step = self.state.phase, self.state.training.step
        if self.budget is None or not step:
            return
        began = self.began[phase.name]
        end = began + (self.budget - began) * self.shares[phase.name]
        over, *_ = processes.anyone(self.spent() >= end)
        if not over:
            return
        self.taken[phase.name] = step
        self.save(self.state)
        raise PhaseOver

    def figures(self) -> dict[str, Any]:
        """For summary.json: which phases ended early, and when."""
        ended = [f"{name} after {steps} of {self.planned[name]} steps" for name, steps in self.taken.items()]
        return {"ended_early": ended} if ended else {}

    def state_dict(self) -> dict[str, Any]:
        """Where phases ended."""
        return {"time": {"ended_early": self.taken, "began": self.began}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken; runs of before there was a budget kept nothing."""
        kept = state.get("time", {"ended_early": {}, "began": {}})
        self.taken, self.began = dict(kept["ended_early"]), dict(kept["began"])
