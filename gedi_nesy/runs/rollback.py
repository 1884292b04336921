"""Going back to an earlier state when training has diverged, and on from there with a smaller learning rate."""

import copy
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from gedi_nesy.core.fit import DivergedError, Training
from gedi_nesy.runs.settings import Settings


class Guard(Settings):
    """When training counts as diverged, and how it goes on.

    Attributes:
        largest_gap: between the mean energies of data and samples, in nats; a working energy model stays within tens.
        retries: how often a stage goes back to an earlier state; with 0 the first divergence ends the run.
        every: steps between two kept states; training goes back to the one before the last.
        slower: factor of the learning rate at each return.
    """

    largest_gap: PositiveFloat = 10_000.0
    retries: NonNegativeInt = 0
    every: PositiveInt = 1000
    slower: Annotated[float, Field(gt=0, lt=1)] = 0.5


class Rollback:
    """The states that the present stage can go back to, and all returns so far.

    Two states are kept, and training goes back to the older one: a divergence often begins long before it shows.

    Args:
        guard: how often and how far.

    Attributes:
        kept: one state or two, the older first.
        returns: of each return its number, the stage, the step that it went back to, the reason, and the factor of the
            learning rate from there on.
    """

    def __init__(self, guard: Guard) -> None:
        self.guard, self.stage = guard, ""
        self.kept: list[dict[str, Any]] = []
        self.returns: list[dict[str, Any]] = []

    @property
    def factor(self) -> float:
        """The present factor of the learning rate."""
        return self.guard.slower**self._tries

    def begin(self, stage: str, training: Training) -> None:
        """A stage begins; keep its first state."""
        self.stage, self.kept = stage, []
        if self.guard.retries:
            self.kept = [copy.deepcopy(training.state_dict())]

    def keep(self, training: Training, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """Keep the state, if it is time; called after every step."""
        if self.guard.retries and training.step % self.guard.every == 0:
            self.kept = [*self.kept[-1:], copy.deepcopy(training.state_dict())]

    def go_back(self, training: Training, error: ArithmeticError) -> None:
        """Put the training back to the older state that is kept.

        Raises:
            DivergedError: when the guard allows no further return.
        """
        if self._tries >= self.guard.retries:
            tried = f", after {self._tries} returns to an earlier state" if self._tries else ""
            raise DivergedError(f"{error}{tried}") from error
        del self.kept[1:]
        training.load_state_dict(copy.deepcopy(self.kept[0]))  # an optimiser goes on in the tensors that it loads
        entry = {"return": len(self.returns) + 1, "stage": self.stage, "step": training.step, "reason": str(error)}
        self.returns.append(entry | {"factor": self.guard.slower ** (self._tries + 1)})

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""
        return {"kept": self.kept, "returns": self.returns}

    def load_state_dict(self, state: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Continue where `state_dict` was taken."""
        self.kept, self.returns = ([dict(entry) for entry in state[name]] for name in ("kept", "returns"))

    @property
    def _tries(self) -> int:
        return sum(entry["stage"] == self.stage for entry in self.returns)
