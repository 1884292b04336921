"""How pixel bytes become network inputs."""

from dataclasses import dataclass

from torch import Tensor


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
