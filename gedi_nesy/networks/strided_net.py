"""A small network for drawings without max pooling, for energies that have a slope everywhere."""

import math

import torch
from torch import Tensor, nn

FEATURES = 96  # of StridedNet, before its last layer
LEAST_SIDE = 16  # pixels, which two convolutions leave one of


class StridedNet(nn.Module):
    """A smooth network for small images, whose energy has a slope everywhere: images to logits.

    conv 12@6 stride 2, SiLU, conv 24@6 stride 2, SiLU, then, of 28 x 28 pixels, 384-96-classes with SiLU between. Max
    pooling and ReLU pass a gradient to few pixels of an image, strides and SiLU to all of them, so that chains reach
    more of the data.

    Args:
        classes: number of logits.
        channels: of the images; as many more where it reads several at once, as the channels of one.
        width: factor of all sizes between input and logits.
        dropout: before both linear layers, in training.
        size: height and width of the images, LEAST_SIDE or more each.
    """

    def __init__(
        self,
        classes: int = 10,
        channels: int = 1,
        width: int = 1,
        dropout: float = 0.0,
        size: tuple[int, int] = (28, 28),
    ) -> None:
        super().__init__()
        self.shape = (channels, *size)
        first, second = nn.Conv2d(channels, 12 * width, 6, stride=2), nn.Conv2d(12 * width, 24 * width, 6, stride=2)
        self.encoder = nn.Sequential(first, nn.SiLU(), second, nn.SiLU())
        left = math.prod(((side - 4) // 2 - 4) // 2 for side in size)  # places, after both convolutions
        hidden, logits = nn.Linear(24 * width * left, FEATURES * width), nn.Linear(FEATURES * width, classes)
        self.classifier = nn.Sequential(nn.Dropout(dropout), hidden, nn.SiLU(), nn.Dropout(dropout), logits)
        self.to(memory_format=torch.channels_last)  # faster on CPU

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape [batch, classes], of images [batch, channels, height, width]; ValueError for another shape."""
        logits: Tensor = self.classifier[-1](self.features(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """The input of the last layer, shape [batch, 96 * width], for images as in `forward`."""
        if images.shape[1:] != self.shape:
            wanted = ", ".join(map(str, self.shape))
            raise ValueError(f"StridedNet reads images of shape [batch, {wanted}], not {list(images.shape)}.")
        hidden: Tensor = self.encoder(images).flatten(1)
        for layer in self.classifier[:-1]:
            hidden = layer(hidden)
        return hidden

    def as_sequential(self) -> nn.Sequential:
        """The same network in eval mode, sharing its weights, as a stack of torch's own layers."""
        layers = [layer for layer in self.classifier if not isinstance(layer, nn.Dropout)]
        return nn.Sequential(*self.encoder, nn.Flatten(), *layers)
