"""Whole SGLD chains as one CUDA graph: Python launches them once, and not each of some thousand operations.

The steps are those of `SGLD`, recorded while they run, and so are the samples. What is recorded reads the model's
weights where they lie: they may change, but not move.
"""

from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from gedi_nesy.errors import UserError

Loop = Callable[[nn.Module, Tensor, torch.Generator], Tensor]
_WARM_UPS = 2  # cuDNN and cuBLAS choose kernels and take their memory before a recording, which could not have it


class Recording(NamedTuple):
    """A graph, and what it reads and writes."""

    graph: torch.cuda.CUDAGraph
    start: Tensor
    end: Tensor
    generator: torch.Generator


_RECORDINGS: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], Recording]] = WeakKeyDictionary()


def replay_chains(loop: Loop, settings: object, model: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
    """What `loop` computes, recorded at the first call for such a model, x and generator.

    Args:
        loop: from model, x and generator to where the chains end; without a look at any value.
        settings: of the loop; others are another recording.
        model: as for `SGLD`; the mode that it is in is recorded too.
        x: on a GPU, [chains, ...].
        generator: on the same.

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
    return recording.end.clone()  # the next replay writes there


def recording_key(settings: object, model: nn.Module, x: Tensor, generator: torch.Generator) -> tuple[object, ...]:
    """What a recording holds for: the settings, the shape of x, whose noise, and where the weights lie."""
    weights = tuple(part.data_ptr() for part in (*model.parameters(), *model.buffers()))
    rounding = (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
    return (settings, x.shape, x.dtype, x.device, x.stride(), id(generator), model.training, weights, rounding)


def _record(loop: Loop, model: nn.Module, x: Tensor, generator: torch.Generator) -> Recording:
    """Run the loop beside everything else, then record it; the generator stays where it was."""
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
