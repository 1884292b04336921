"""Weights of the networks at some steps of training, for the pictures of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gedi_nesy.core.fit import Training
from gedi_nesy.runs.phases import Callback, PhaseState

EACH = 3  # snapshots of each stage


@dataclass(frozen=True)
class Snapshot:
    """Weights of the networks at some step of a stage."""

    stage: str
    step: int
    weights: dict[str, Tensor]


class Snapshots(Callback):
    """Takes snapshots at the first and last step of each stage, and between.

    Attributes:
        taken: the snapshots of the training so far.
    """

    def __init__(self) -> None:
        self.taken: list[Snapshot] = []

    def on_start(self, state: PhaseState) -> None:
        """Drop the snapshots that will be taken again."""
        name, now = state.phase.name, state.training.step
        self.phase = state.phase
        self.taken = [shot for shot in self.taken if shot.stage != name or shot.step <= now]

    def __call__(self, training: Training, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """Take one if it is time."""
        if training.step in {1 + (self.phase.steps - 1) * k // (EACH - 1) for k in range(EACH)}:
            weights = {key: value.clone() for key, value in training.result.state_dict().items()}
            self.taken.append(Snapshot(self.phase.name, training.step, weights))

    def state_dict(self) -> dict[str, Any]:
        """All taken so far."""
        return {"snapshots": [vars(shot) for shot in self.taken]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.taken = [Snapshot(**values) for values in state["snapshots"]]
