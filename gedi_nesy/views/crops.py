"""Several crops of each picture, some of them small: many views at the cost of a few."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gedi_nesy.views.pictures import augment, draw_crops, resized_crop

LEAST_SIDE = 32  # pixels of pictures whose parts are views, too


@dataclass(frozen=True)
class Crops:
    """Crops of one kind.

    Attributes:
        count: of each picture.
        side: height and width in pixels, to which the cropped part is scaled.
        area: least and greatest share of the picture's area.
    """

    count: int
    side: int
    area: tuple[float, float]


def plan_crops(side: int) -> tuple[Crops, ...]:
    """Two views of the whole and six of its parts, which are not enlarged (Caron et al. 2020); `side` in pixels.

    Of pictures below LEAST_SIDE, whose small parts show too little to be told apart, four views of the whole.
    """
    if side < LEAST_SIDE:
        return (Crops(4, side, (0.2, 1.0)),)
    return Crops(2, side, (0.2, 1.0)), Crops(6, side // 2, (0.05, 0.25))


def several_crops(
    images: Tensor, plan: Sequence[Crops], generator: torch.Generator, *, flip: float, jitter: float, grey: float
) -> list[Tensor]:
    """Random crops of each kind, each flipped and recoloured by chance.

    Args:
        images: float [batch, C, H, W] from 0 to 1.
        plan: the kinds.
        generator: the source of all chance.
        flip: probability of a horizontal flip.
        jitter: probability of new colours, as in `augment`.
        grey: probability of losing the colour.

    Returns:
        For each kind [count, batch, C, side, side].
    """
    return [_crops(images, kind, generator, flip, jitter, grey) for kind in plan]


def _crops(images: Tensor, kind: Crops, generator: torch.Generator, flip: float, jitter: float, grey: float) -> Tensor:
    repeated = images.repeat(kind.count, 1, 1, 1)
    cropped = resized_crop(repeated, draw_crops(repeated, kind.area, generator), kind.side)
    changed = augment(cropped, generator, flip=flip, jitter=jitter, desaturate=grey)
    return changed.unflatten(0, (kind.count, len(images)))
