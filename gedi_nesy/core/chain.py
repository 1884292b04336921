"""Whole SGLD chains in compiled code on CPU, for plain stacks of layers (optional: `gedi-nesy[fast]`, numba)."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

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
    chunks = -(-len(x) // LANES)
    rows = x.new_zeros(chunks * LANES, x[0].numel())  # the last chunk filled up with zeros
    rows[: len(x)] = x.flatten(1)
    chains = rows.unflatten(0, (chunks, LANES)).transpose(1, 2).contiguous()  # [chunks, cells, LANES]
    low, high = clamp or (-math.inf, math.inf)
    settings = [np.float32(number) for number in (step_size, noise, low, high)]
    for done in range(0, steps, _STEPS_AT_ONCE):
        draws = rows.new_zeros(min(_STEPS_AT_ONCE, steps - done), *rows.shape)
        for draw in draws:  # one by one, as SGLD does it with torch
            draw[: len(x)].normal_(generator=generator)
        _advance(work, chains.numpy(), draws.unflatten(1, (chunks, LANES)).numpy(), settings)
    return chains.transpose(1, 2).flatten(0, 1)[: len(x)].reshape(x.shape)


def _advance(work: Plan, chains: np.ndarray, noise: np.ndarray, settings: list[np.float32]) -> None:
    """Advance chains, [chunks, cells, LANES], in place with noise, [steps, chunks, LANES, cells]."""
    threads = min(torch.get_num_threads(), len(chains))
    ends = [len(chains) * thread // threads for thread in range(threads + 1)]

    def run(first: int, last: int) -> None:
        memory = _zeros(work.cells)
        advance(work.operations, work.offsets, work.weights, memory, chains, noise, first, last, *settings)

    if threads == 1:
        run(*ends)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, ends[:-1], ends[1:]))


def _zeros(cells: int) -> np.ndarray:
    """Zeros, [cells, LANES] of float32, that begin at a multiple of 64 bytes."""
    room = np.zeros((cells + 1) * LANES, np.float32)
    begin = -room.ctypes.data // 4 % LANES
    return room[begin : begin + cells * LANES].reshape(cells, LANES)
