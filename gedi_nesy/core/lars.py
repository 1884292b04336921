"""LARS: SGD for large batches, each layer at a rate of its own (You, Gitman & Ginsburg 2017)."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


class LARS(torch.optim.Optimizer):
    """Momentum of trust * (gradient + decay * weight), trust = eta |weight| / |gradient + decay * weight|.

    As in self-supervised learning since SimCLR, tensors of one dimension, biases and norms, have neither decay nor
    trust. Momentum is Nesterov's.

    Args:
        parameters: the parameters to learn.
        lr: the rate, which the trust multiplies.
        momentum: share of the last step that goes on.
        weight_decay: of matrices and kernels.
        eta: how far a layer may go in a step, as a share of its norm.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        eta: float = 1e-3,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "eta": eta})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step; there is no closure."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, weight: nn.Parameter, gradient: Tensor, group: dict[str, float]) -> None:
        if weight.dim() > 1:
            gradient = gradient.add(weight, alpha=group["weight_decay"])
            gradient = gradient * _trust(weight, gradient, group["eta"])
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"]
        momentum.mul_(group["momentum"]).add_(gradient)
        weight.add_(gradient.add(momentum, alpha=group["momentum"]), alpha=-group["lr"])


def _trust(weight: Tensor, gradient: Tensor, eta: float) -> Tensor:
    """The layer's factor, on its device; 1 where either is 0."""
    length, slope = weight.norm(), gradient.norm()
    return torch.where((length > 0) & (slope > 0), eta * length / slope.clamp_min(1e-30), 1.0)
