"""Training one model in several processes: each has a share of the batch, all have the same weights.

Losses of a batch are no sums over its examples: a mean prediction, a correlation or balanced codes tie them together.
So the processes join their shares before the loss, and each computes the loss of the whole batch, with the gradient
through its own share. The mean of the processes' gradients is then the gradient of the whole batch in one process. In a
single process nothing here does anything.
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import FunctionCtx


def count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """The number of this process; process 0 writes files."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def join(share: Tensor, dim: int) -> Tensor:
    """The shares of all processes in the order of their ranks, of the same shape in each, joined along `dim`.

    Every process must compute the same after the join. The gradient flows into this process's share only, times the
    number of processes, so that `average_gradients` gives the gradient of the whole batch: each process has a part of
    it for the parameters used before the join, and all of it for the others.
    """
    if count() == 1:
        return share
    joined: Tensor = _Join.apply(share, dim)
    return joined


@torch.no_grad()
def average_gradients(model: nn.Module) -> None:
    """Replace every gradient by its mean over the processes; the same parameters must have one in each."""
    if count() == 1:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= count()
    for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def anyone(*flags: bool) -> list[bool]:
    """Whether each flag is set in any process; all processes get the same answer."""
    if count() == 1:
        return list(flags)
    votes = _votes(flags)
    distributed.all_reduce(votes)
    return [vote > 0 for vote in votes.tolist()]


@torch.no_grad()
def greatest(value: Tensor) -> Tensor:
    """The greatest of a number, [], over the processes, which stays on the device; nan is an error of the caller's."""
    if count() > 1:
        value = value.clone()
        distributed.all_reduce(value, distributed.ReduceOp.MAX)
    return value


def gather(value: Any) -> list[Any]:
    """A value of each process, in the first process; in the others an empty list. Tensors must be on CPU."""
    if count() == 1:
        return [value]
    values = [None] * count() if rank() == 0 else None
    distributed.gather_object(value, values)
    return values or []


def from_first(value: Any) -> Any:
    """The value that the first process has, in all of them."""
    if count() == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, share: Tensor, dim: int) -> Tensor:
        ctx.dim, ctx.length = dim, share.shape[dim]  # type: ignore[attr-defined]
        shares = [torch.empty_like(share, memory_format=torch.contiguous_format) for _ in range(count())]
        distributed.all_gather(shares, share.contiguous())
        return torch.cat(shares, dim)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.narrow(ctx.dim, rank() * ctx.length, ctx.length) * count(), None


def _votes(flags: tuple[bool, ...]) -> Tensor:
    cuda = distributed.get_backend() == "nccl"
    return torch.tensor(flags, dtype=torch.int32, device="cuda" if cuda else "cpu")
