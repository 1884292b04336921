"""Corrupted images, to measure how fast accuracy falls: six kinds in the manner of MNIST-C (Mu & Gilmer 2019)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

NOISE = 0.5  # standard deviation of the added noise
BLUR = 1.5  # pixels, the Gaussian's deviation
SHIFT = 4  # pixels, along each axis
ROTATION = 40.0  # degrees
CONTRAST = 0.2  # what is left of it
OCCLUSION = 10  # pixels, the side of the square
REACH = 5  # pixels, how far from the centre the square's may be, along each axis


def corrupt_images(kind: str, images: Tensor) -> Tensor:
    """Images under one corruption, the same ones at each call.

    Args:
        kind: one of CORRUPTIONS.
        images: uint8 [images, 1, height, width].

    Returns:
        uint8, in the same shape.
    """
    generator = torch.Generator().manual_seed(0)
    corrupted = CORRUPTIONS[kind](images.float() / 255, generator)
    return (corrupted.clamp(0, 1) * 255).round().to(torch.uint8)


def _noise(x: Tensor, generator: torch.Generator) -> Tensor:
    return x + NOISE * torch.randn(x.shape, generator=generator)


def _blur(x: Tensor, generator: torch.Generator) -> Tensor:
    reach = round(3 * BLUR)
    offsets = torch.arange(-reach, reach + 1)
    kernel = (-(offsets**2) / (2 * BLUR**2)).exp()
    kernel = kernel / kernel.sum()
    rows = F.conv2d(x, kernel.view(1, 1, -1, 1), padding=(reach, 0))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1), padding=(0, reach))


def _shift(x: Tensor, generator: torch.Generator) -> Tensor:
    """Towards one of the four corners, drawn for each image."""
    height, width = x.shape[2:]
    padded = F.pad(x, [SHIFT] * 4)
    corner = torch.randint(2, (2, len(x)), generator=generator) * 2 * SHIFT  # [(down, right), images]
    rows = corner[0, :, None, None] + torch.arange(height)[:, None]
    columns = corner[1, :, None, None] + torch.arange(width)
    return padded[torch.arange(len(x))[:, None, None], 0, rows, columns].unsqueeze(1)


def _rotation(x: Tensor, generator: torch.Generator) -> Tensor:
    """Clockwise or counter-clockwise, drawn for each image."""
    angle = torch.tensor(ROTATION).deg2rad()
    sine = angle.sin() * _signs(len(x), generator)
    cosine = angle.cos().expand(len(x))
    nothing = torch.zeros(len(x))
    maps = torch.stack([cosine, -sine, nothing, sine, cosine, nothing], -1).view(-1, 2, 3)
    return F.grid_sample(x, F.affine_grid(maps, list(x.shape), align_corners=False), align_corners=False)


def _contrast(x: Tensor, generator: torch.Generator) -> Tensor:
    return 0.5 + CONTRAST * (x - 0.5)


def _occlusion(x: Tensor, generator: torch.Generator) -> Tensor:
    """A grey square near the centre, where the digit is."""
    sides = torch.tensor(x.shape[2:])
    corner = (sides - OCCLUSION) // 2 + torch.randint(-REACH, REACH + 1, (len(x), 2), generator=generator)
    down, right = corner[:, :1], corner[:, 1:]
    rows, columns = (torch.arange(side) for side in x.shape[2:])
    in_rows = (rows >= down) & (rows < down + OCCLUSION)  # [images, height]
    in_columns = (columns >= right) & (columns < right + OCCLUSION)
    return x.where(~(in_rows[:, None, :, None] & in_columns[:, None, None, :]), torch.tensor(0.5))


def _signs(n: int, generator: torch.Generator) -> Tensor:
    return torch.randint(2, (n,), generator=generator) * 2.0 - 1


CORRUPTIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "shift": _shift,
    "rotation": _rotation,
    "contrast": _contrast,
    "occlusion": _occlusion,
}
