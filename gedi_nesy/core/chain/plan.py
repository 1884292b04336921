"""A plain stack of layers as a list of operations on one block of memory: forward, then the gradient back to the input.

`chain.kernels` executes the list. It knows six layers: Conv2d (no padding; stride 1, or stride 2 with an even kernel),
MaxPool2d(2), ReLU, SiLU, Flatten and Linear. A memory cell is one number of each of sixteen images; tensors lie in it
as [channels, height, width].
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gedi_nesy.errors import UserError

CONVOLVE, POOL, POOL_BACK, RELU, RELU_BACK, SILU, SILU_BACK, SPLIT, JOIN, SPREAD, SOFTMAX = range(11)

FIELDS = (
    "kind",
    "channels",  # of what is written; with height and width the range that the operation runs over
    "height",
    "width",
    "source",  # first cell that is read
    "target",  # first cell that is written
    "slope",  # first cell of an activation's derivative
    "gradient",  # first cell of the gradient that is passed back
    # and for convolutions:
    "source_row",  # cells between two rows of the source
    "source_rows",  # how many rows of it exist
    "margin",  # rows of zeros to imagine above and below it
    "side",  # of the kernel
    "row_taps",  # weights in one of the kernel's rows, for one output channel
    "offset",  # first offset, in floats, of the weights' pixels
    "weight",  # first weight
    "bias",  # first bias
    "tile_channels",  # how many output channels and neighbouring pixels are summed at once, in registers
    "tile_pixels",
)
OPERATION = np.dtype([(name, np.int64) for name in FIELDS])
LANES = 16
TILES = ((6, 4), (4, 4), (2, 4), (1, 7), (8, 1), (4, 1), (2, 1), (1, 1))  # best first; the first that fits is taken


@dataclass(frozen=True)
class Plan:
    """What `kernels.advance` reads; the input lies at cell 0 and its gradient right behind it.

    A plan holds no weights but their places among the model's parameters, so it outlives a training step.
    """

    operations: np.ndarray  # of OPERATION
    offsets: np.ndarray  # int64
    places: Tensor  # int64: of the weights, among all parameters one after the other and a last 0
    cells: int

    @torch.no_grad()
    def weights(self, model: nn.Module) -> np.ndarray:
        """The model's present weights in the order in which the operations read them, float32."""
        parameters = [parameter.reshape(-1) for parameter in model.parameters()]
        return torch.cat([*parameters, parameters[0].new_zeros(1)])[self.places].numpy()


@dataclass
class _Value:
    """A tensor between two layers: its shape, and where it and its gradient lie."""

    shape: tuple[int, int, int]
    at: int
    gradient: int


@dataclass
class _Source:
    """What a convolution reads: its first cell, the number of rows, and the cells from one row to the next."""

    at: int
    rows: int
    row: int


@torch.no_grad()
def plan(model: nn.Module, shape: tuple[int, ...]) -> Plan:
    """The operations of one gradient d logsumexp f(x) / dx.

    Args:
        model: an nn.Sequential of the known layers, or a module whose `as_sequential()` is one.
        shape: of one input, [channels, height, width] or [features].

    Raises:
        UserError: when the model has another layer, or a known one in a form that isn't known.
    """
    layers = list(_layers(model))
    if not layers or not isinstance(layers[0], nn.Conv2d | nn.Linear):
        raise _unknown(layers[0] if layers else model, "The first layer must be Conv2d or Linear.")
    planner = _Planner(shape, model)
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        planner.add(layer, following)
    return planner.finish()


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    stack = getattr(model, "as_sequential", lambda: model)()
    if not isinstance(stack, nn.Sequential):
        yield stack
        return
    for layer in stack:
        yield from _layers(layer)


class _Array:
    """A flat array that grows by parts."""

    def __init__(self) -> None:
        self.parts: list[Tensor] = []
        self.length = 0

    def append(self, part: Tensor) -> int:
        """Where in the array the part begins."""
        self.parts.append(part.reshape(-1))
        self.length += part.numel()
        return self.length - part.numel()

    def joined(self) -> Tensor:
        return torch.cat(self.parts)


class _Planner:
    def __init__(self, shape: tuple[int, ...], model: nn.Module) -> None:
        sizes = [parameter.numel() for parameter in model.parameters()]
        places = torch.arange(sum(sizes)).split(sizes)
        self.places = {id(p): where.view_as(p) for p, where in zip(model.parameters(), places, strict=True)}
        self.zero = sum(sizes)  # the place behind all parameters
        self.forward: list[dict[str, int]] = []
        self.backward: list[dict[str, int]] = []
        self.offsets = _Array()
        self.weights = _Array()
        self.cells = 0
        if len(shape) not in (1, 3):
            raise UserError(f"The numba engine samples vectors and images, not tensors of shape {list(shape)}.")
        self.flat = len(shape) == 1
        channels, height, width = (*shape, 1, 1) if self.flat else shape
        self.value = self._new_value((channels, height, width))

    def add(self, layer: nn.Module, following: nn.Module | None) -> None:
        if isinstance(layer, nn.Conv2d) and not self.flat:
            self._conv2d(layer, in_place=isinstance(following, nn.MaxPool2d))
        elif isinstance(layer, nn.Linear) and self.flat:
            weight, bias = self._places(layer)
            self._convolution(weight[:, :, None, None], bias, in_place=False)
        elif isinstance(layer, nn.MaxPool2d) and not self.flat:
            self._pool(layer)
        elif isinstance(layer, nn.ReLU | nn.SiLU):
            self._activation(layer)
        elif isinstance(layer, nn.Flatten):
            channels, height, width = self.value.shape
            self.value = _Value((channels * height * width, 1, 1), self.value.at, self.value.gradient)
            self.flat = True
        else:
            raise _unknown(
                layer, "It knows Conv2d, MaxPool2d(2), ReLU and SiLU on images, then Flatten, Linear, ReLU and SiLU."
            )

    def _conv2d(self, layer: nn.Conv2d, in_place: bool) -> None:
        settings = (layer.dilation, layer.padding, layer.groups)
        if settings != ((1, 1), (0, 0), 1) or layer.kernel_size[0] != layer.kernel_size[1]:
            raise _unknown(layer, "A Conv2d must have a square kernel, no padding, and stride 1 or 2.")
        weight, bias = self._places(layer)
        if layer.stride != (1, 1):
            weight = self._split(layer, weight)
        self._convolution(weight, bias, in_place)

    def _activation(self, layer: nn.ReLU | nn.SiLU) -> None:
        channels, height, width = self.value.shape
        cells = {"channels": channels, "height": height, "width": width}
        if isinstance(layer, nn.ReLU):
            cells["source"], kinds = self.value.at, (RELU, RELU_BACK)
        else:
            cells["slope"], kinds = self._allocate(channels * height * width), (SILU, SILU_BACK)
        self.forward.append({"kind": kinds[0], **cells, "target": self.value.at})
        self.backward.append({"kind": kinds[1], **cells, "gradient": self.value.gradient})

    def _places(self, layer: nn.Conv2d | nn.Linear) -> tuple[Tensor, Tensor]:
        """Where the layer's weight and bias stand; a bias that is not there is 0."""
        weight = self.places[id(layer.weight)]
        bias = weight.new_full((len(weight),), self.zero) if layer.bias is None else self.places[id(layer.bias)]
        return weight, bias

    def finish(self) -> Plan:
        if not self.flat:
            raise UserError("The numba engine needs a model that ends in logits; flatten the images first.")
        softmax = {"kind": SOFTMAX, "channels": self.value.shape[0], "source": self.value.at}
        rows = [*self.forward, {**softmax, "target": self.value.gradient}, *reversed(self.backward)]
        operations = np.array([tuple(row.get(name, 0) for name in FIELDS) for row in rows], OPERATION)
        return Plan(operations, self.offsets.joined().numpy(), self.weights.joined(), self.cells)

    def _pool(self, layer: nn.MaxPool2d) -> None:
        plain = nn.MaxPool2d(2)
        settings = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
        channels, height, width = self.value.shape
        if any(getattr(layer, name) != getattr(plain, name) for name in settings) or height % 2 or width % 2:
            raise _unknown(layer, f"Only MaxPool2d(2) of an even size, here {height} x {width}.")
        pooled = self._new_value((channels, height // 2, width // 2))
        size = {"channels": channels, "height": height // 2, "width": width // 2, "source": self.value.at}
        self.forward.append({"kind": POOL, **size, "target": pooled.at})
        gradients = {"gradient": pooled.gradient, "target": self.value.gradient}
        self.backward.append({"kind": POOL_BACK, **size, **gradients})
        self.value = pooled

    def _split(self, layer: nn.Conv2d, weight: Tensor) -> Tensor:
        """Put even and odd rows and columns apart, as channels; there a kernel of stride 2 is one of half its side.

        Returns:
            That kernel, [outputs, 4 * inputs, side / 2, side / 2].
        """
        side = layer.kernel_size[0]
        channels, height, width = self.value.shape
        if layer.stride != (2, 2) or side % 2 or height % 2 or width % 2:
            raise _unknown(layer, f"Stride 2 takes an even kernel and an even size, here {height} x {width}.")
        split = self._new_value((4 * channels, height // 2, width // 2))
        size = {"channels": channels, "height": height // 2, "width": width // 2}
        self.forward.append({"kind": SPLIT, **size, "source": self.value.at, "target": split.at})
        self.backward.append({"kind": JOIN, **size, "source": split.gradient, "target": self.value.gradient})
        self.value = split
        halves = weight.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))  # [outputs, inputs, side / 2, 2, side / 2, 2]
        return halves.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)

    def _convolution(self, weight: Tensor, bias: Tensor, in_place: bool) -> None:
        """Convolve; back, convolve the gradient with the turned kernel. In place, the gradient replaces the value."""
        outputs, inputs, side, _ = weight.shape
        channels, height, width = self.value.shape
        if inputs != channels or min(height, width) < side:
            raise UserError(f"A layer for {inputs} channels and kernel {side} can't read {list(self.value.shape)}.")
        value, result = self.value, self._new_value((outputs, height - side + 1, width - side + 1), in_place)
        self.forward.append(self._convolve(weight, bias, _Source(value.at, height, width), result.at, result.shape, 0))
        _, rows, columns = result.shape
        gradient = _Source(result.gradient, rows, columns)
        if side > 1:  # zeros between its rows, for the turned kernel reaches over both ends
            gradient = _Source(
                self._allocate(outputs * rows * (columns + side - 1) + side - 1), rows, columns + side - 1
            )
        turned = weight.flip(2, 3).transpose(0, 1)
        no_bias = turned.new_full((len(turned),), self.zero)
        self.backward.append(self._convolve(turned, no_bias, gradient, value.gradient, value.shape, side - 1))
        if side > 1:
            size = {"channels": outputs, "height": rows, "width": columns, "margin": side - 1}
            self.backward.append({"kind": SPREAD, **size, "source": result.gradient, "target": gradient.at})
        self.value = result

    def _convolve(
        self, weight: Tensor, bias: Tensor, source: _Source, target: int, size: tuple[int, ...], margin: int
    ) -> dict[str, int]:
        outputs, inputs, side, _ = weight.shape
        channels, height, width = size
        tile_channels, tile_pixels = next(t for t in TILES if outputs % t[0] == 0 and width >= t[1])
        # The kernel's rows outermost, so that those above and below the source are left out as a range of taps.
        row, channel, column = torch.meshgrid(*map(torch.arange, (side, inputs, side)), indexing="ij")
        offsets = LANES * (channel * source.rows * source.row + row * source.row + column)
        # Weights in the order in which they are read: [tiles, row, input, column, tile_channels].
        taps = weight.unflatten(0, (-1, tile_channels)).permute(0, 3, 2, 4, 1)
        return {
            **{"kind": CONVOLVE, "channels": channels, "height": height, "width": width},
            **{"source": source.at, "source_row": source.row, "source_rows": source.rows, "target": target},
            **{"margin": margin, "side": side, "row_taps": inputs * side, "offset": self.offsets.append(offsets)},
            **{"weight": self.weights.append(taps)},
            **{"bias": self.weights.append(bias)},
            **{"tile_channels": tile_channels, "tile_pixels": tile_pixels},
        }

    def _new_value(self, shape: tuple[int, int, int], in_place: bool = False) -> _Value:
        at = self._allocate(int(np.prod(shape)))
        return _Value(shape, at, at if in_place else self._allocate(int(np.prod(shape))))

    def _allocate(self, cells: int) -> int:
        self.cells += cells
        return self.cells - cells


def _unknown(layer: nn.Module, known: str) -> UserError:
    return UserError(f'The numba engine does not know {layer}. {known} Use engine="torch".')
