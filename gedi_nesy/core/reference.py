"""A reference density r(x) that an energy tilts: p(x) proportional to exp(-E(x)) r(x)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Reference:
    """A wide Gaussian around the ground, the input of an empty image: r(x) = N(x; ground, variance I).

    It holds an input where the network is blind. Max pooling and ReLU pass no gradient to most of an image's ground, so
    that under exp(-E(x)) alone a chain keeps its first noise there, and the network learns to tell noisy ground from
    data, which no chain can ever mend. L_GEN's gradient is the same with a reference, which has no parameters.

    Attributes:
        ground: broadcasts against one input, for example [channels, 1, 1]. None where each picture has a ground of its
            own: each channel's mean takes its place, so that r says nothing of a picture's mean colour.
        variance: in squared units of the input. A step of SGLD takes x back by step_size / variance of its distance.
    """

    ground: Tensor | None
    variance: float

    def gradient(self, x: Tensor) -> Tensor:
        """d log r(x) / dx, in the shape of x, [batch, ...]."""
        return (self.ground_at(x) - x) / self.variance

    def log_density(self, x: Tensor) -> Tensor:
        """log r(x) up to a constant, in nats: [batch, ...] -> [batch]."""
        return (x - self.ground_at(x)).square().flatten(1).sum(1) / (-2 * self.variance)

    def ground_at(self, x: Tensor) -> Tensor:
        """The ground of inputs [batch, ...], which broadcasts against them."""
        return x.mean((-2, -1), keepdim=True) if self.ground is None else self.ground


def ground_of(inputs: Tensor) -> Tensor:
    """The most common surroundings: the median of each channel over all inputs and pixels.

    Args:
        inputs: [n, channels, height, width].

    Returns:
        [channels, 1, 1].
    """
    return torch.stack([channel.flatten().median() for channel in inputs.transpose(0, 1)]).view(-1, 1, 1)
