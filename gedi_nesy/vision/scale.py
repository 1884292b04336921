"""How points and images become inputs of a network."""

from dataclasses import dataclass

import torch
from torch import Tensor

MIDDLE = 127.5  # of the values of a pixel


@dataclass(frozen=True)
class Scale:
    """(x - shift) / spread; both have the shape of one point or image."""

    shift: Tensor
    spread: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one point or image."""
        return tuple(self.shift.shape)

    @property
    def of_channels(self) -> "Scale":
        """Of images of any size: their scales are the same for all pixels of a channel."""
        return Scale(self.shift[:, :1, :1], self.spread[:, :1, :1])

    def to_inputs(self, x: Tensor) -> Tensor:
        """Points [..., d] or images uint8 [..., C, H, W] as a network sees them."""
        return (x - self.shift) / self.spread

    def to_points(self, inputs: Tensor) -> Tensor:
        """From inputs back to points, or to images as float32 pixels, 0 to 255 where nothing left that range."""
        return inputs * self.spread + self.shift


def find_scale(x: Tensor, kind: str) -> Scale:
    """How x, points [n, d] or images [n, C, H, W], becomes inputs.

    Args:
        x: the training set.
        kind: "standard" gives each column of points, or each channel of images, mean 0 and deviation 1; "symmetric"
            takes pixels to [-1, 1]; "none" leaves points as they are.
    """
    if kind == "none":
        return Scale(torch.zeros_like(x[0]), torch.ones_like(x[0]))
    if kind == "symmetric":
        middle = torch.full(x.shape[1:], MIDDLE, device=x.device)
        return Scale(middle, middle.clone())
    if x.dim() == 4:
        return _scale_of_channels(x)
    spread = x.std(0, correction=0)
    return Scale(x.mean(0), torch.where(spread > 0, spread, 1.0))


def find_box(inputs: Tensor, margin: float) -> tuple[float, float]:
    """The range of all inputs, and `margin` of its width more on each side."""
    low, high = inputs.min().item(), inputs.max().item()
    extra = margin * (high - low)
    return low - extra, high + extra


def _scale_of_channels(x: Tensor) -> Scale:
    """Mean and deviation of each channel, from how often each value occurs: no float copy of all images is needed."""
    values = torch.arange(256, dtype=torch.float64, device=x.device)
    counts = torch.stack([channel.flatten().bincount(minlength=256) for channel in x.unbind(1)]).double()
    share = counts / counts.sum(1, keepdim=True)  # [C, 256]
    mean = share @ values
    spread = (share @ values.square() - mean.square()).clamp_min(0).sqrt()
    shift, spread = (part.float().view(-1, 1, 1).expand(x.shape[1:]).contiguous() for part in (mean, spread))
    return Scale(shift, torch.where(spread > 0, spread, 1.0))
