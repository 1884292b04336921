"""T(x'|x): random views of images that leave their class alone, batched and on the device of the images."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def add_noise(x: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """x + std * N(0, 1), any shape."""
    return x + std * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


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

    def __call__(self, x: Tensor, background: float, generator: torch.Generator) -> Tensor:
        """A view of each image.

        Args:
            x: images, shape [batch, channels, height, width].
            background: the value that comes in from outside the frame.
            generator: on the device of x.

        Returns:
            Warped images of the same shape.
        """
        batch, _, height, width = x.shape
        grid = F.affine_grid(self._affine_maps(batch, generator), list(x.shape), align_corners=False)  # [B, H, W, 2]
        knots = torch.randn(batch, 2, self.knots, self.knots, generator=generator, device=x.device) * self.elastic
        field = F.interpolate(knots, size=(height, width), mode="bilinear", align_corners=True)  # [B, 2, H, W]
        grid = grid + field.permute(0, 2, 3, 1)
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
