"""T(x'|x): random views of drawings that keep their class, batched and on the device of the images."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 255.0  # of a byte


def add_noise(x: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """x + std * N(0, 1), any shape."""
    return x + std * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def recolour(x: Tensor, share: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Other colours for some drawings: their channels change places, and each of them becomes its negative by chance.

    Args:
        x: [n, channels, height, width].
        share: the probability with which a drawing gets other colours.
        low, high: black and white.
        generator: on the device of x.
    """
    places, negative, chosen = torch.rand(3, *x.shape[:2], 1, 1, generator=generator, device=x.device)
    mixed = x.gather(1, places.argsort(1).expand_as(x))
    mixed = torch.where(negative < 0.5, low + high - mixed, mixed)
    return torch.where(chosen[:, :1] < share, mixed, x)


def ground_of_each(x: Tensor) -> Tensor:
    """What surrounds the drawing in each picture: the median of its border, [n, channels, 1, 1]."""
    border = torch.cat([x[..., 0, :], x[..., -1, :], x[..., 1:-1, 0], x[..., 1:-1, -1]], -1)
    return border.median(-1).values[..., None, None]


def ink(pictures: Tensor) -> Tensor:
    """How much each pixel differs from the ground of its picture, from 0 to 1.

    Args:
        pictures: uint8 [n, channels, height, width].

    Returns:
        [n, height, width]: the mean over the channels of the absolute difference to the median of the border's pixels;
        in pictures with colours, whose contrast is part of the colour, divided by its greatest.
    """
    x = pictures.float()
    difference = (x - ground_of_each(x)).abs().mean(1)
    if x.shape[1] == 1:
        return difference / LEVELS
    return difference / difference.amax((1, 2), keepdim=True).clamp_min(1.0)


@dataclass(frozen=True)
class Warp:
    """A random affine map with a smooth elastic field on top: handwriting's own variation.

    Attributes:
        rotation: largest angle, in degrees.
        scale: largest relative change of each side.
        shear: largest shear.
        shift: largest translation, in half image sides.
        elastic: standard deviation of the offsets of the elastic field's knots, in half image sides.
        knots: the elastic field has knots x knots offsets, with straight lines between them.
    """

    rotation: float = 15.0
    scale: float = 0.15
    shear: float = 0.25
    shift: float = 2 / 14
    elastic: float = 0.06
    knots: int = 6

    def scaled(self, factor: float) -> "Warp":
        """The same with every deviation times a factor."""
        names = ("rotation", "scale", "shear", "shift", "elastic")
        return replace(self, **{name: factor * getattr(self, name) for name in names})

    def __call__(self, x: Tensor, background: float | Tensor, generator: torch.Generator) -> Tensor:
        """A view of each image.

        Args:
            x: images, shape [batch, channels, height, width].
            background: the value that comes in from outside the frame, one for all, [channels, 1, 1] or
                [batch, channels, 1, 1].
            generator: on the device of x.

        Returns:
            Warped images of the same shape.
        """
        batch, _, height, width = x.shape
        affine = self._affine_maps(batch, generator)  # [B, 2, 3]
        knots = torch.randn(batch, 2, self.knots**2, generator=generator, device=x.device) * self.elastic
        maps = torch.cat([affine, knots], -1)  # [B, 2, 3 + knots^2]
        basis = _basis(height, width, self.knots, x.device)
        grid = (maps.flatten(0, 1) @ basis).view(batch, 2, height, width).permute(0, 2, 3, 1)  # [B, H, W, (x, y)]
        return F.grid_sample(x - background, grid, padding_mode="zeros", align_corners=False) + background

    def _affine_maps(self, batch: int, generator: torch.Generator) -> Tensor:
        """Rotation @ [[sx, shear], [0, sy]] and a translation: [batch, 2, 3]."""
        u = torch.rand(6, batch, generator=generator, device=generator.device) * 2 - 1
        angle, shear = u[0] * math.radians(self.rotation), u[3] * self.shear
        cos, sin = angle.cos(), angle.sin()
        sx, sy = 1 + self.scale * u[1], 1 + self.scale * u[2]
        rows = [
            cos * sx,
            cos * shear - sin * sy,
            u[4] * self.shift,
            sin * sx,
            sin * shear + cos * sy,
            u[5] * self.shift,
        ]
        return torch.stack(rows, -1).view(batch, 2, 3)


A_LITTLE = Warp(rotation=8.0, scale=0.08, shear=0.1, shift=0.07, elastic=0.04)  # what `warp_some` does


def warp_some(
    chains: Tensor, share: float, channels: int, surroundings: Callable[[Tensor], Tensor], generator: torch.Generator
) -> Tensor:
    """A share of some chains, warped a little so that they spread over the data's own variation.

    Args:
        chains: where they are, [batch, images * channels, height, width]; each image is warped in its own way.
        share: the probability with which a chain is warped.
        channels: of one image.
        surroundings: from images, [n, channels, height, width], to the background that `Warp` asks for.
        generator: on the device of the chains.
    """
    each = chains.reshape(-1, channels, *chains.shape[2:])
    warped = A_LITTLE(each, surroundings(each), generator).view_as(chains)
    chosen = torch.rand(len(chains), 1, 1, 1, generator=generator, device=chains.device) < share
    return torch.where(chosen, warped, chains)


@lru_cache
def _basis(height: int, width: int, knots: int, device: torch.device) -> Tensor:
    """What every pixel's source is a linear function of: [3 + knots^2, height * width].

    x, y and 1 for the affine map, each in [-1, 1] over the image, then each knot's bilinear weight.
    """
    y, x = ((torch.arange(size) + 0.5) * 2 / size - 1 for size in (height, width))
    affine = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width), torch.ones(height, width)])
    unit = torch.eye(knots**2).view(-1, 1, knots, knots)
    field = F.interpolate(unit, size=(height, width), mode="bilinear", align_corners=True)
    return torch.cat([affine.flatten(1), field.flatten(1)]).to(device)
