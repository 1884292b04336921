"""Synthetic images of +, -, * and /: strokes drawn by a program as a hand might draw them. Nobody wrote them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gedi_nesy.data.images import Images

Strokes = Mapping[str, Sequence[tuple[tuple[float, float], tuple[float, float]]]]

SIDE = 28
# Each operator's strokes, (x, y) from one end to the other in a box of [-1, 1]. A star has three strokes.
STROKES = {
    "+": [((-1.0, 0.0), (1.0, 0.0)), ((0.0, -1.0), (0.0, 1.0))],
    "-": [((-1.0, 0.0), (1.0, 0.0))],
    "*": [((0.0, -1.0), (0.0, 1.0)), ((-0.87, -0.5), (0.87, 0.5)), ((-0.87, 0.5), (0.87, -0.5))],
}
SLASH = {"/": [((-0.6, 1.0), (0.6, -1.0))]}
RADIUS = (6.0, 9.0)  # of the box, in pixels: MNIST's digits fill a box of 20 pixels
THICKNESS = (1.2, 2.8)  # of the pen, in pixels


def with_operators(digits: Images, train: int = 2000, test: int = 500, strokes: Strokes = STROKES) -> Images:
    """28x28 digits and more classes, +, - and *, with so many synthetic images each, always the same ones."""
    x_train, y_train = _draw(strokes, train, torch.Generator().manual_seed(0))
    x_test, y_test = _draw(strokes, test, torch.Generator().manual_seed(1))
    first = len(digits.classes)
    return replace(
        digits,
        name=f"{digits.name}+operators",
        x_train=torch.cat([digits.x_train, x_train]),
        y_train=torch.cat([digits.y_train, y_train + first]),
        x_test=torch.cat([digits.x_test, x_test]),
        y_test=torch.cat([digits.y_test, y_test + first]),
        classes=(*digits.classes, *strokes),
    )


def _draw(strokes: Strokes, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """n images of each operator, uint8 [operators * n, 1, 28, 28], and their numbers, [operators * n]."""
    images = [_draw_strokes(torch.tensor(lines), n, generator) for lines in strokes.values()]
    return torch.cat(images), torch.arange(len(strokes)).repeat_interleave(n)


def _draw_strokes(strokes: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """n images of the same strokes, [strokes, 2 ends, 2], each with its own place, size, slant and pen."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    shaky = strokes + uniform(-0.15, 0.15, *strokes.shape)  # [n, strokes, ends, 2]
    angle, shear = uniform(-math.pi / 12, math.pi / 12), uniform(-0.2, 0.2)
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([cos, cos * shear - sin, sin, sin * shear + cos], -1).view(n, 2, 2)
    size, place = uniform(*RADIUS, 2), SIDE / 2 + uniform(-2.0, 2.0, 2)
    ends = (shaky @ turn.mT[:, None]) * size[:, None, None] + place[:, None, None]
    distance = _distances(ends[:, :, 0], ends[:, :, 1]).amin(1)  # of each pixel to the nearest stroke, [n, 28 * 28]
    ink = (uniform(*THICKNESS, 1) / 2 + 0.5 - distance).clamp(0, 1)  # with an edge one pixel wide
    return (ink * uniform(0.75, 1.0, 1) * 255).round().to(torch.uint8).view(n, 1, SIDE, SIDE)


def _distances(start: Tensor, end: Tensor) -> Tensor:
    """Of every pixel's centre to segments between ends [n, strokes, 2]: [n, strokes, 28 * 28], in pixels."""
    centres = torch.arange(SIDE) + 0.5
    pixels = torch.cartesian_prod(centres, centres).flip(-1)  # [28 * 28, (x, y)], row by row
    along, offset = (end - start)[:, :, None], pixels - start[:, :, None]
    share = ((offset * along).sum(-1) / along.square().sum(-1)).clamp(0, 1)  # of the nearest point on the segment
    return (offset - share[..., None] * along).norm(dim=-1)
