"""The loop over the phases of a training, for both tracks and with or without files."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from gedi_nesy.core.fit import DivergedError, StepCallback, Training, fit
from gedi_nesy.core.objective import Diagnosis, Objective
from gedi_nesy.runs.rollback import Rollback


@dataclass(frozen=True)
class Phase:
    """A stretch of training with an optimiser and a random stream of its own.

    Attributes:
        number: its place among all phases, from 0.
        name: what metrics call it.
        stage: its settings.
        seed: of its randomness.
        steps: its length in optimiser steps.
    """

    number: int
    name: str
    stage: Any
    seed: int
    steps: int


class Losses(Protocol):
    """The losses of a phase's steps, `core.fit.fit`'s `compute_losses`."""

    objective: Objective

    def __call__(self, step: int) -> Mapping[str, Tensor]:
        """The losses of a step by term name."""


class Learner(Protocol):
    """What a track trains: its phases, and the results between them. It reads and writes no files."""

    device: torch.device

    @property
    def phases(self) -> Sequence[Phase]:
        """All phases in their order."""

    def begin(self, phase: Phase, before: Training | None) -> Training:
        """What a phase trains; the work between it and the phase before is done first, if that phase was trained."""

    def losses(self, phase: Phase, training: Training) -> Losses:
        """The losses of the phase's steps."""

    def diagnose(self, training: Training) -> Mapping[str, Diagnosis]:
        """The present diagnosis of each network; with several restarts, of one of them."""

    def state_dict(self) -> dict[str, Any]:
        """The results between phases: tensors and plain values only."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""


@dataclass(frozen=True)
class PhaseState:
    """What callbacks see of the phase in training."""

    phase: Phase
    training: Training
    losses: Losses


class Callback:
    """A callback, called after every step, and when steps begin: at a phase's start, on resuming, after a return."""

    def on_start(self, state: PhaseState) -> None:
        """Steps begin from here."""

    def __call__(self, training: Training, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """After a step: the state and that step's losses; may raise to end the training."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold for this callback, by names that nothing else in a checkpoint has."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""


def train_phases(
    learner: Learner,
    rollback: Rollback,
    callbacks: Sequence[Callback] = (),
    *,
    first: int = 0,
    restore: Callable[[Training], None] = lambda training: None,
    stepping: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Training:
    """Train a learner's phases in their order.

    Args:
        learner: what is trained.
        rollback: what a phase that diverges goes back to.
        callbacks: called in order.
        first: the number of the phase to begin with.
        restore: takes the first phase's fresh training to where a checkpoint was taken.
        stepping: a context in which steps are taken; the work between phases is outside.

    Returns:
        The last phase's training.

    Raises:
        DivergedError, FloatingPointError: when training diverged more often than the rollback allows.
    """
    training: Training | None = None
    for phase in learner.phases[first:]:
        begins = training is None
        training = learner.begin(phase, training)
        rollback.begin(phase.name, training)
        state = PhaseState(phase, training, learner.losses(phase, training))
        if begins:
            restore(training)
        with stepping():
            _fit(state, rollback, callbacks)
    assert training is not None
    return training


def _fit(state: PhaseState, rollback: Rollback, callbacks: Sequence[Callback]) -> None:
    """Train a phase to its end; after a divergence from an earlier state, as often as the rollback allows."""
    phase, training, losses = state.phase, state.training, state.losses
    while training.step < phase.steps:
        for callback in callbacks:
            callback.on_start(state)
        rate = phase.stage.learning_rate.scaled(rollback.factor)
        after_step: list[StepCallback] = [rollback.keep, *callbacks]
        try:
            fit(training, losses.objective, losses, steps=phase.steps, learning_rate=rate, callbacks=after_step)
        except (DivergedError, FloatingPointError) as error:
            rollback.go_back(training, error)
