"""The kind of some inputs, and the random views that go with it.

| kind      | inputs                                        | view T(x'|x)                                            |
| --------- | --------------------------------------------- | ------------------------------------------------------- |
| "drawing" | pictures whose ground is of one colour        | an affine and elastic warp, the same to all channels    |
| "coloured | the same, but each on a ground of its own     | the warp, and other colours                             |
| drawing"  |                                               |                                                         |
| "picture" | other pictures                                | a crop, changes of colour, a flip only where asked for  |
| "vector"  | feature vectors [D]                           | noise in units of each feature's deviation, dropout     |

Pixel noise goes on top of the first two.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gedi_nesy.views.drawings import Warp, add_noise, ground_of_each
from gedi_nesy.views.features import drop_features, noise_features
from gedi_nesy.views.pictures import augment

Kind = Literal["drawing", "coloured drawing", "picture", "vector"]
View = Callable[[Tensor, torch.Generator], Tensor]  # [batch, ...] and the source of chance -> the same shape

LOOKED_AT = 200  # inputs that tell the kind
NEAR = 16  # of 255 levels: differences within a ground's colour, with JPEG's noise
GROUND_SHARE = 0.4  # least share of a drawing's pixels; photographs have 0.1 to 0.2, handwriting 0.8


def kind_of(pool: Tensor) -> Kind:
    """The kind of inputs, told from the first ones.

    A picture is taken for a drawing where many of its pixels have the colour of its border's median, and for a coloured
    one where these colours differ from picture to picture.

    Args:
        pool: uint8 pictures [n, channels, height, width], or float vectors [n, D].
    """
    if pool.dim() == 2:
        return "vector"
    x = pool[:LOOKED_AT].float()
    grounds = ground_of_each(x)  # [n, channels, 1, 1]
    is_ground = ((x - grounds).abs() <= NEAR).all(1)  # [n, height, width]
    if is_ground.float().mean((1, 2)).median() < GROUND_SHARE:
        return "picture"
    apart = (grounds - grounds.median(0).values).abs().amax(1).mean()
    return "coloured drawing" if apart > NEAR else "drawing"


@dataclass(frozen=True)
class DrawingView:
    """Warped drawings.

    Attributes:
        warp: factor of `Warp`'s deviations; 0 leaves it out.
        noise: standard deviation of pixel noise, in units of the inputs.
    """

    warp: float = 1.0
    noise: float = 0.0

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A view of each drawing, [batch, channels, height, width]; its own ground comes in from outside the frame."""
        if self.warp:
            x = Warp().scaled(self.warp)(x, ground_of_each(x), generator)
        return add_noise(x, self.noise, generator) if self.noise else x


@dataclass(frozen=True)
class PictureView:
    """Cropped and recoloured pictures.

    Attributes:
        low, high: the inputs of black and white.
        crop: least share of the area that is kept.
        flip: probability of a mirror image; 0, for many symbols are not their mirror images' (an arrow, a 3).
        jitter: probability of other brightness, contrast, saturation and hue.
        desaturate: probability of losing the colour.
        noise: standard deviation of pixel noise, in units of the inputs.
    """

    low: float = 0.0
    high: float = 1.0
    crop: float = 0.5
    flip: float = 0.0
    jitter: float = 0.8
    desaturate: float = 0.2
    noise: float = 0.0

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A view of each picture, [batch, channels, height, width]."""
        unit = ((x - self.low) / (self.high - self.low)).clamp(0, 1)
        share = {"flip": self.flip, "jitter": self.jitter, "desaturate": self.desaturate}
        changed = augment(unit, generator, crop=(self.crop, 1.0), **share)
        x = self.low + (self.high - self.low) * changed
        return add_noise(x, self.noise, generator) if self.noise else x


@dataclass(frozen=True, eq=False)
class VectorView:
    """Noisy vectors with features left out.

    Attributes:
        mean, spread: of each feature over the data, [D].
        noise: standard deviation of the noise, in units of each feature's own.
        dropout: share of the features that are left out.
    """

    mean: Tensor
    spread: Tensor
    noise: float = 0.3
    dropout: float = 0.2

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A view of each vector, [batch, D]."""
        if self.dropout:
            x = drop_features(x, self.mean, self.dropout, generator)
        return noise_features(x, self.spread, self.noise, generator) if self.noise else x
