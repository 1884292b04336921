"""The strokes of a drawing, how much of which direction is where: features of its shape that need no training."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gedi_nesy.views.deformation import gradients_of, normalise_shape

DIRECTIONS = 8
CELL, STRIDE = 5, 3  # pixels: side of the square in which strokes are counted, and from one square to the next
AT_ONCE = 1000  # drawings


def stroke_histograms(images: Tensor, upright: bool = True) -> Tensor:
    """Histograms of oriented gradients (Dalal & Triggs, CVPR 2005) of drawings.

    A gradient counts with its length, shared by the two directions next to its own. Square roots keep a few strong
    strokes from deciding alone; the distance of two drawings is Hellinger's, then.

    Args:
        images: ink on an empty ground, both 0 or more, [images, height, width].
        upright: set them upright first, and scale them to one size, as writing is alike.

    Returns:
        Of length 1 each, [images, features].
    """
    parts = images.split(AT_ONCE)
    return torch.cat([_histograms(normalise_shape(part) if upright else part) for part in parts])


def _histograms(images: Tensor) -> Tensor:
    across, down = gradients_of(images).unbind(1)
    strength = torch.hypot(across, down)
    direction = torch.atan2(down, across) * DIRECTIONS / math.tau
    below = direction.floor()
    above = direction - below  # its share in the next direction
    counts = strength.new_zeros(len(images), DIRECTIONS, *images.shape[1:])
    for place, share in ((below, 1 - above), (below + 1, above)):
        counts.scatter_add_(1, (place.long() % DIRECTIONS).unsqueeze(1), (strength * share).unsqueeze(1))
    cells = F.avg_pool2d(counts, CELL, STRIDE, CELL // 2)
    return F.normalize(cells.sqrt().flatten(1), dim=1)
