"""Distorted images: close to the data without being data, so that L_GEN learns to tell them apart."""

import torch
import torch.nn.functional as F
from torch import Tensor

from gedi_nesy.views.drawings import Warp

STRONG = Warp(rotation=180.0, scale=0.6, shear=0.5, shift=0.3, elastic=0.2, knots=5)
DIMMEST = 0.3  # of an image's contrast


def distort(x: Tensor, background: float | Tensor, generator: torch.Generator) -> Tensor:
    """Lay some images on others, swap halves, thicken strokes, warp all of them far, take contrast from some.

    Most can no longer be read afterwards. In L_GEN the data outweigh the few that can.

    Args:
        x: images, shape [batch, channels, height, width].
        background: what they are drawn on, one value or [channels, 1, 1]; brighter and darker strokes are kept alike.
        generator: on the device of x.

    Returns:
        Images of the same shape and range.
    """

    def some(share: float) -> Tensor:
        return torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) < share

    other = x[torch.randperm(len(x), generator=generator, device=x.device)]
    x = torch.where(some(0.4), _farther(x, STRONG(other, background, generator), background), x)
    x = torch.where(some(0.3), _halves(x, other), x)
    x = torch.where(some(0.25), _thicken(x, background), x)
    x = STRONG(x, background, generator)
    contrast = DIMMEST + (1 - DIMMEST) * torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device)
    return torch.where(some(0.25), background + contrast * (x - background), x)


def _farther(x: Tensor, other: Tensor, background: float | Tensor) -> Tensor:
    """At each pixel the one that is farther from the background."""
    return torch.where((x - background).abs() >= (other - background).abs(), x, other)


def _thicken(x: Tensor, background: float | Tensor) -> Tensor:
    """At each pixel the one of its 3 x 3 neighbours that is farthest from the background."""
    brightest, darkest = F.max_pool2d(x, 3, 1, 1), -F.max_pool2d(-x, 3, 1, 1)
    return _farther(brightest, darkest, background)


def _halves(x: Tensor, other: Tensor) -> Tensor:
    """The left half of one and the right half of the other."""
    middle = x.shape[-1] // 2
    return torch.cat([x[..., :middle], other[..., middle:]], -1)
