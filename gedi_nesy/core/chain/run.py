"""Whole SGLD chains in compiled code on CPU, for plain stacks of layers (optional: `gedi-nesy[fast]`, numba)."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from gedi_nesy.core.chain.kernels import advance
from gedi_nesy.core.chain.plan import LANES, Plan, plan
from gedi_nesy.errors import UserError

if TYPE_CHECKING:
    from gedi_nesy.core.sgld import SGLD

_STEPS_AT_ONCE = 20  # bounds the memory of the noise
_PLANS: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], Plan]] = WeakKeyDictionary()  # they hold no weights


def run_chains(model: nn.Module, x: Tensor, generator: torch.Generator, settings: "SGLD") -> Tensor:
    """Compute with the same noise what `SGLD` computes step by step: equal up to rounding, on any number of threads.

    Args:
        model: an nn.Sequential of the layers that `chain.plan` knows, or a module whose `as_sequential()` is one.
        x: float32 on CPU, [chains, channels, height, width] or [chains, features].
        generator: on CPU.
        settings: the sampler.

    Raises:
        UserError: when the model has a layer that isn't known, or x is not float32 on CPU.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32:
        raise UserError(f'The numba engine samples float32 on CPU, not {x.dtype} on {x.device}; use engine="torch".')
    work = _plan(model, tuple(x.shape[1:]))
    weights = work.weights(model)
    chunks = -(-len(x) // LANES)
    rows = x.new_zeros(chunks * LANES, x[0].numel())  # the last chunk filled up with zeros
    rows[: len(x)] = x.flatten(1)
    chains = rows.unflatten(0, (chunks, LANES)).transpose(1, 2).contiguous()  # [chunks, cells, LANES]
    ground, own, numbers = _numbers(settings, x[0])
    for done in range(0, settings.steps, _STEPS_AT_ONCE):
        draws = rows.new_zeros(min(_STEPS_AT_ONCE, settings.steps - done), *rows.shape)
        for draw in draws:  # one by one, as SGLD does it with torch
            draw[: len(x)].normal_(generator=generator)
        noise = draws.unflatten(1, (chunks, LANES)).numpy()
        _advance(work, weights, chains.numpy(), noise, ground, own, numbers)
    return chains.transpose(1, 2).flatten(0, 1)[: len(x)].reshape(x.shape)


def _plan(model: nn.Module, shape: tuple[int, ...]) -> Plan:
    """The model's plan for inputs of this shape, made once."""
    plans = _PLANS.setdefault(model, {})
    if shape not in plans:
        plans[shape] = plan(model, shape)
    return plans[shape]


def _numbers(settings: "SGLD", like: Tensor) -> tuple[Tensor, int, list[np.float32]]:
    """The ground of every cell, [cells, LANES], the channels whose means take its place (0: none), and the settings.

    They are as the kernel takes them; without a reference it pulls by 0.
    """
    low, high = settings.clamp or (-math.inf, math.inf)
    ground, pull, own, reference = torch.zeros_like(like), 0.0, 0, settings.reference
    if reference is not None:
        pull = settings.step_size / reference.variance
        if reference.ground is None:
            own = len(like)
        else:
            ground = reference.ground.to(like).expand_as(like)
    numbers = (settings.step_size, pull, settings.noise, low, high)
    return ground.reshape(-1, 1).expand(-1, LANES), own, [np.float32(number) for number in numbers]


def _advance(
    work: Plan,
    weights: np.ndarray,
    chains: np.ndarray,
    noise: np.ndarray,
    ground: Tensor,
    own: int,
    numbers: list[np.float32],
) -> None:
    """Advance chains, [chunks, cells, LANES], in place with noise, [steps, chunks, LANES, cells]."""
    threads = min(torch.get_num_threads(), len(chains))
    ends = [len(chains) * thread // threads for thread in range(threads + 1)]

    def run(first: int, last: int) -> None:
        memory, at = _zeros(work.cells), ground.contiguous().clone().numpy()  # each thread writes to its own
        advance(work.operations, work.offsets, weights, memory, chains, noise, at, own, first, last, *numbers)

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
