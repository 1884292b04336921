"""The one training loop, and the state it reads and writes."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gedi_nesy.core import processes
from gedi_nesy.core.chains import Chains
from gedi_nesy.core.checks import Checks
from gedi_nesy.core.objective import Objective
from gedi_nesy.core.precision import tf32
from gedi_nesy.core.schedule import Schedule
from gedi_nesy.core.sgld import ReplayBuffer


class DivergedError(ArithmeticError):
    """Training produced a loss that is not a finite number."""


class MovingAverage:
    """An exponential moving average of a model's parameters; buffers are copied.

    It is torch's `AveragedModel`, but lists the tensors once: to walk through the modules at every step is slow.

    Attributes:
        module: the averaged model.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module, self.updates = copy.deepcopy(model), 0
        self._pairs = list(self.module.parameters()), list(model.parameters())
        self._buffers = list(zip(self.module.buffers(), model.buffers(), strict=True))
        self._average = get_ema_multi_avg_fn(decay)

    @torch.no_grad()
    def update(self) -> None:
        """After a step of the model; the first update copies."""
        if self.updates:
            self._average(*self._pairs, self.updates)
        else:
            for own, new in zip(*self._pairs, strict=True):
                own.copy_(new)
        for buffer, present in self._buffers:
            buffer.copy_(present)
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""
        return {"module": self.module.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.module.load_state_dict(state["module"])
        self.updates = int(state["updates"])


@dataclass
class Training:
    """Everything a training step reads and writes; its `state_dict` is a checkpoint that truly resumes.

    Attributes:
        model: the network being trained, on its device.
        optimizer: over the model's parameters.
        generator: the source of all randomness inside a step, on the model's device.
        average: exponential moving average of the parameters, or None.
        buffers: a replay buffer of SGLD samples for each energy model whose losses advance the chains themselves.
        chains: the `Chains` of each energy model that has them; its name is then not among the buffers'.
        step: optimiser steps taken so far.
        checks: tells by a step's numbers whether it has diverged.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    average: MovingAverage | None = None
    buffers: dict[str, ReplayBuffer] = field(default_factory=dict)
    chains: dict[str, Chains] = field(default_factory=dict)
    step: int = 0
    checks: Checks = field(default_factory=Checks)

    @property
    def result(self) -> nn.Module:
        """The network to use: the moving average where there is one, otherwise the model itself."""
        return self.model if self.average is None else self.average.module

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, so that it loads with `weights_only=True`.

        Chains are as their buffer holds them: float32, unless it has `as_bytes`. Rounded for the checkpoint alone, a
        resumed run would go on from other chains.

        Raises:
            DivergedError: when a step up to here has diverged, which a GPU says only now; such a state is not saved.
        """
        self.checks.settle()
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "average": None if self.average is None else self.average.state_dict(),
            "buffers": {name: buffer.state_dict() for name, buffer in self._all_buffers().items()},
            "step": self.step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken; the shapes must be the same."""
        self.checks.clear()
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        for name, buffer in self._all_buffers().items():
            buffer.load_state_dict(state["buffers"][name])
        self.step = int(state["step"])

    def _all_buffers(self) -> dict[str, ReplayBuffer | Chains]:
        return {**self.buffers, **self.chains}


def moving_average(model: nn.Module, decay: float) -> MovingAverage | None:
    """An exponential moving average of the model's parameters, or None when the decay is 0."""
    return MovingAverage(model, decay) if decay else None


class StepCallback(Protocol):
    """A callback that every step calls."""

    def __call__(self, training: Training, losses: Mapping[str, Tensor], total: Tensor) -> None:
        """After a step: the state and that step's losses; may raise to end the training.

        Whoever reads a loss, or the total, on a GPU waits for it.
        """


def fit(
    training: Training,
    objective: Objective,
    compute_losses: Callable[[int], Mapping[str, Tensor]],
    *,
    steps: int,
    learning_rate: Schedule,
    callbacks: Iterable[StepCallback] = (),
) -> None:
    """Train until `training.step == steps`; a training restored from a checkpoint goes on from its step.

    Several processes can train one model (`core.processes`): each computes the losses of the joined batch.

    Args:
        training: the state, changed in place.
        objective: the weighted terms; their weights follow the progress step / steps.
        compute_losses: from the step's number to that step's losses by term name, scalars or one value for each of
            several networks trained side by side. All its randomness must come from the step's number and
            `training.generator`, so that a resumed run repeats it.
        steps: the step to train up to.
        learning_rate: schedule over the progress.
        callbacks: called in order after every step.

    Raises:
        DivergedError: when the total is no longer finite, on a GPU one step late (`core.checks`); the parameters of the
            step before are lost, so resume from the last checkpoint.
    """
    callbacks = tuple(callbacks)
    with tf32(True, training.generator.device):
        while training.step < steps:
            losses, total = _step(training, objective, compute_losses, training.step / steps, learning_rate)
            for callback in callbacks:
                callback(training, losses, total)


def _step(
    training: Training,
    objective: Objective,
    compute_losses: Callable[[int], Mapping[str, Tensor]],
    progress: float,
    learning_rate: Schedule,
) -> tuple[dict[str, Tensor], Tensor]:
    """Take one step; its losses and their total."""
    for group in training.optimizer.param_groups:
        group["lr"] = learning_rate(progress)
    training.optimizer.zero_grad(set_to_none=True)  # now, so that old gradients take no room beside the chains
    losses = compute_losses(training.step)
    total = objective(losses, progress)
    detached = {name: loss.detach() for name, loss in losses.items()}
    training.checks.expect(total.detach().view(1), partial(_check_total, training.step, detached))
    total.backward()
    processes.average_gradients(training.model)
    training.optimizer.step()
    if training.average is not None:
        training.average.update()
    training.step += 1
    training.checks.turn()
    return detached, total.detach()


def _check_total(step: int, losses: Mapping[str, Tensor], total: Sequence[float]) -> None:
    if not math.isfinite(total[0]):
        values = ", ".join(f"{name} = {loss.mean().item():.4g}" for name, loss in losses.items())
        raise DivergedError(f"step {step}: {values}")
