"""A classifier read as an energy-based model: E(x) = -logsumexp_y f(x)_y and log p(x) = -E(x) + constant."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gedi_nesy.core.reference import Reference


def log_density(logits: Tensor, x: Tensor, reference: Reference | None = None) -> Tensor:
    """log p(x) up to a constant, -E(x) + log r(x), in nats, [batch]; without a reference r is uniform, as in the paper.

    Args:
        logits: f(x), [batch, classes].
        x: [batch, ...].
        reference: r.
    """
    return -energy(logits) if reference is None else reference.log_density(x) - energy(logits)


def energy(logits: Tensor) -> Tensor:
    """E(x) = -logsumexp_y f(x)_y: [..., classes] -> [...], in nats."""
    return -logits.logsumexp(-1)


@runtime_checkable
class KnowsItsGradient(Protocol):
    """A model that computes d log p(x) / dx on the CPU without autograd."""

    def gradient_of_log_density(self) -> Callable[[Tensor], Tensor]:
        """The function from x to d log p(x) / dx, in the shape of x, with the present weights."""


def gradient_of_log_density(model: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The function x -> d log p(x) / dx = -dE(x)/dx, in the shape of x; nothing is added to any `.grad`.

    Inside `frozen`, which is for the model's owner, it costs less.

    Args:
        model: from x, [batch, ...], to logits, [batch, classes]; examples must not influence each other. Its weights
            must not change while the function is in use.
        device: where x is.
    """
    if device.type == "cpu" and isinstance(model, KnowsItsGradient):
        return model.gradient_of_log_density()
    return lambda x: _by_autograd(model, x)


def log_density_gradient(model: nn.Module, x: Tensor) -> Tensor:
    """d log p(x) / dx, in the shape of x, as of `gradient_of_log_density`."""
    return gradient_of_log_density(model, x.device)(x)


@torch.enable_grad()
def _by_autograd(model: nn.Module, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    logits = model(x)
    # The derivative of logsumexp is softmax; to start from it is faster than to go through -E(x).
    (gradient,) = torch.autograd.grad(logits, x, logits.detach().softmax(-1))
    return gradient


def ood_score(model: nn.Module, x: Tensor, reference: Reference | None = None) -> Tensor:
    """s(x) = -||d log p(x) / dx||_2, the paper's score (Section N): low for x unlike the training data.

    Args:
        model: from x to logits, [batch, classes].
        x: shape [batch, ...].
        reference: r(x) of p(x); uniform by default.

    Returns:
        Shape [batch], never above 0.
    """
    slope = log_density_gradient(model, x)
    if reference is not None:
        slope = slope + reference.gradient(x)
    return -slope.flatten(1).norm(dim=1)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Switch off the gradients of all parameters inside the block, and restore each flag on exit.

    Other threads see the change too, so no other thread may use the model meanwhile.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
