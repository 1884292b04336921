"""Which inputs are alike before any network is trained: by the shapes of drawings, or by the cosine of given features.

Matching (`nesy.matching`) needs a distance between every two inputs: near ones should share a symbol.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from gedi_nesy.errors import UserError
from gedi_nesy.views.deformation import deformation_distance, normalise_shape
from gedi_nesy.views.drawings import ink

SIDE = 28  # pixels: larger drawings are compared at this size


@dataclass(frozen=True)
class Likeness:
    """A distance between inputs.

    Attributes:
        name: "shape" or "features".
        distances: of the rows of a pool of inputs, int64 [n], the distance between every two, [n, n].
    """

    name: str
    distances: Callable[[Tensor], Tensor]


def by_shape(pool: Tensor) -> Likeness:
    """How far two drawings are from being deformations of each other.

    Args:
        pool: pictures, uint8 [images, channels, height, width], each on a ground of one colour, which its border shows.
    """
    return Likeness("shape", lambda rows: deformation_distance(_small(normalise_shape(ink(pool[rows])))))


def by_cosine(features: Tensor) -> Likeness:
    """One minus the cosine of two inputs' features, after the mean over all of them is taken off.

    Args:
        features: of each input of the pool, [inputs, D].

    Raises:
        UserError: a feature is not a finite number.
    """
    if not features.isfinite().all():
        row = int((~features.isfinite().all(1)).nonzero()[0])
        raise UserError(f"The features of row {row} are not finite numbers; leave the row out or mend it.")
    return Likeness("features", lambda rows: cosine_distance(features[rows].float()))


def cosine_distance(features: Tensor) -> Tensor:
    """1 - cosine of every two of [n, D] around their mean, [n, n] from 0 to 2; its diagonal is 0."""
    directions = F.normalize(features - features.mean(0), dim=1)
    return (1 - directions @ directions.T).clamp_min(0).fill_diagonal_(0)


def _small(images: Tensor) -> Tensor:
    """Pictures [n, height, width] at no more than SIDE pixels a side, by averages."""
    height, width = (min(side, SIDE) for side in images.shape[1:])
    if (height, width) == tuple(images.shape[1:]):
        return images
    return F.adaptive_avg_pool2d(images.unsqueeze(1), (height, width)).squeeze(1)
