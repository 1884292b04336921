"""Whole SGLD chains in compiled code on CPU, for plain stacks of layers (optional: `gedi-nesy[fast]`, numba)."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gedi_nesy.core.chain_kernels import advance
from gedi_nesy.core.chain_plan import LANES, Plan, plan
from gedi_nesy.errors import UserError

_STEPS_AT_ONCE = 20  # bounds the memory of the noise


def run_chains(
    model: nn.Module,
    x: Tensor,
    generator: torch.Generator,
    steps: int,
    step_size: float,
    noise: float,
    clamp: tuple[float, float] | None,
) -> Tensor:
    """What `SGLD` computes step by step, with the same noise: equal up to rounding, on any number of threads.

    Args:
        model: an nn.Sequential of Conv2d (stride 1, no padding), MaxPool2d(2), ReLU, Flatten and Linear, or a module
            whose `as_sequential()` is one, as MNIST_Net has it.
        x: float32 on CPU, [chains, channels, height, width] or [chains, features].
        generator: on CPU.
        steps: as the other settings those of `SGLD`.
        step_size: factor of the gradient.
        noise: standard deviation.
        clamp: (low, high) or None.

    Raises:
        UserError: when the model has a layer that isn't known, or x is not float32 on CPU.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32:
        raise UserError(f'The numba engine samples float32 on CPU, not {x.dtype} on {x.device}; use engine="torch".')
    work = plan(model, tuple(x.shape[1:]))
    chains = _to_lanes(x.flatten(1))
    low, high = clamp or (-math.inf, math.inf)
    settings = [np.float32(number) for number in (step_size, noise, low, high)]
    for done in range(0, steps, _STEPS_AT_ONCE):
        count = min(_STEPS_AT_ONCE, steps - done)
        draws = torch.stack([torch.randn(x.shape, generator=generator) for _ in range(count)])
        _advance(work, chains.numpy(), _to_lanes(draws.flatten(2)).numpy(), settings)
    return chains.transpose(1, 2).flatten(0, 1)[: len(x)].reshape(x.shape)


def _advance(work: Plan, chains: np.ndarray, noise: np.ndarray, settings: list[np.float32]) -> None:
    threads = min(torch.get_num_threads(), len(chains))
    parts = list(zip(np.array_split(chains, threads), np.array_split(noise, threads), strict=True))

    def run(part: tuple[np.ndarray, np.ndarray]) -> None:
        advance(work.operations, work.offsets, work.weights, _zeros(work.cells), *part, *settings)

    if threads == 1:
        run(parts[0])
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, parts))


def _to_lanes(rows: Tensor) -> Tensor:
    """[..., chains, cells] -> [chunks, ..., cells, LANES], the last chunk filled up with zeros."""
    filled = F.pad(rows, (0, 0, 0, -rows.shape[-2] % LANES)).unflatten(-2, (-1, LANES))
    return filled.movedim(-3, 0).transpose(-1, -2).contiguous()


def _zeros(cells: int) -> np.ndarray:
    """Zeros, [cells, LANES] of float32, that begin at a multiple of 64 bytes."""
    room = np.zeros((cells + 1) * LANES, np.float32)
    begin = -room.ctypes.data // 4 % LANES
    return room[begin : begin + cells * LANES].reshape(cells, LANES)
