"""Whole SGLD chains as one CUDA graph: Python launches them once, and not each of some thousand operations.

The graph records the steps of `SGLD` while they run, so its samples are the same. It reads the model's weights where
they lie: their values may change, but not their places in memory.
"""

from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from gedi_nesy.errors import UserError

Loop = Callable[[nn.Module, Tensor, torch.Generator], Tensor]
_WARM_UPS = 2  # cuDNN and cuBLAS choose kernels and allocate memory in these runs, which a recording does not allow


class Recording(NamedTuple):
    """A recorded graph, with the tensors that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    start: Tensor
    end: Tensor
    generator: torch.Generator


_RECORDINGS: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], Recording]] = WeakKeyDictionary()


def replay_chains(loop: Loop, settings: object, model: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
    """Run `loop` by a CUDA graph, which the first call with such a model, x and generator records.

    Args:
        loop: from model, x and generator to where the chains end; it must not branch on any value.
        settings: the loop's; other settings need another recording.
        model: as for `SGLD`; the recording keeps the mode (train or eval) that it is in.
        x: on a GPU, [chains, ...].
        generator: on the same GPU.

    Raises:
        UserError: if x is not on a GPU.
    """
    if x.device.type != "cuda":
        raise UserError(f'The graph engine samples on CUDA, not on {x.device.type}; use engine="torch".')
    recordings = _RECORDINGS.setdefault(model, {})
    key = recording_key(settings, model, x, generator)
    if key not in recordings:
        recordings[key] = _record(loop, model, x, generator)
    recording = recordings[key]
    recording.start.copy_(x)
    recording.graph.replay()
    return recording.end.clone()  # the next replay overwrites the tensor


def recording_key(settings: object, model: nn.Module, x: Tensor, generator: torch.Generator) -> tuple[object, ...]:
    """What a recording is valid for: the settings, the shape of x, the generator, and the addresses of the weights."""
    weights = tuple(part.data_ptr() for part in (*model.parameters(), *model.buffers()))
    rounding = (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
    return (settings, x.shape, x.dtype, x.device, x.stride(), id(generator), model.training, weights, rounding)


def _record(loop: Loop, model: nn.Module, x: Tensor, generator: torch.Generator) -> Recording:
    """Run the loop on a stream of its own, then record it; the generator's state is put back."""
    start, state = x.clone(), generator.get_state()
    stream = torch.cuda.Stream(x.device)
    stream.wait_stream(torch.cuda.current_stream(x.device))
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            loop(model, start, generator)
    torch.cuda.current_stream(x.device).wait_stream(stream)
    generator.set_state(state)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        end = loop(model, start, generator)
    generator.set_state(state)
    return Recording(graph, start, end, generator)
