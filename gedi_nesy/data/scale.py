"""How pixel bytes, or the numbers of feature vectors, become network inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_SPREAD = 1e-6  # of a feature that is not constant


@dataclass(frozen=True)
class Scale:
    """x = (byte / 255 - shift) / spread."""

    shift: float
    spread: float

    @property
    def low(self) -> float:
        """The input of a black pixel."""
        return -self.shift / self.spread

    @property
    def high(self) -> float:
        """The input of a white pixel."""
        return (1 - self.shift) / self.spread

    def to_inputs(self, images: Tensor) -> Tensor:
        """uint8 images -> float32 inputs of the same shape."""
        return images.float().div_(255).sub_(self.shift).div_(self.spread)

    def to_unit(self, inputs: Tensor) -> Tensor:
        """Inputs -> intensities in [0, 1], clipped, for showing."""
        return (inputs * self.spread + self.shift).clamp(0, 1)


SCALES = {
    "unit": Scale(0.0, 1.0),
    "symmetric": Scale(0.5, 0.5),
    "standard": Scale(0.1307, 0.3081),  # the mean and standard deviation of MNIST's training images
}


@dataclass(frozen=True, eq=False)
class VectorScale:
    """x = (value - mean) / spread for each feature, so that all features count alike.

    Attributes:
        mean: of each feature over the training vectors, [D].
        spread: its standard deviation, [D]; 1 where a feature is constant.
    """

    mean: Tensor
    spread: Tensor

    low = -3.0  # chains start and stay within it, as nearly all of a feature's values do
    high = 3.0

    @classmethod
    def of(cls, vectors: Tensor) -> "VectorScale":
        """The scale of these vectors, float [n, D]."""
        spread = vectors.std(0, correction=0)
        return cls(vectors.mean(0), torch.where(spread > LEAST_SPREAD, spread, 1.0))

    def to_inputs(self, vectors: Tensor) -> Tensor:
        """Vectors [..., k * D] -> inputs of the same shape, float32; k of them may lie one after the other."""
        times = vectors.shape[-1] // len(self.mean)
        return (vectors.float() - self.mean.repeat(times)) / self.spread.repeat(times)

    def to_unit(self, inputs: Tensor) -> Tensor:
        """Inputs -> the vectors that they were."""
        times = inputs.shape[-1] // len(self.mean)
        return inputs * self.spread.repeat(times) + self.mean.repeat(times)
