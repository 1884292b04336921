"""A small network for 28 x 28 images without max pooling, for energies that have a slope everywhere."""

import torch
from torch import Tensor, nn

FEATURES = 96  # of StridedNet, before its last layer


class StridedNet(nn.Module):
    """A smooth network for 28 x 28 images, whose energy has a slope everywhere: images to logits.

    conv 12@6 stride 2, SiLU, conv 24@6 stride 2, SiLU, then 384-96-classes with SiLU between. Max pooling and ReLU pass
    a gradient to few pixels of an image, strides and SiLU to all of them, so that chains reach more of the data.

    Args:
        classes: number of logits.
        images: how many images it reads at once, as the channels of one.
        width: factor of all sizes between input and logits.
        dropout: before both linear layers, in training.
    """

    def __init__(self, classes: int = 10, images: int = 1, width: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.images = images
        first, second = nn.Conv2d(images, 12 * width, 6, stride=2), nn.Conv2d(12 * width, 24 * width, 6, stride=2)
        self.encoder = nn.Sequential(first, nn.SiLU(), second, nn.SiLU())
        hidden, logits = nn.Linear(24 * width * 4 * 4, FEATURES * width), nn.Linear(FEATURES * width, classes)
        self.classifier = nn.Sequential(nn.Dropout(dropout), hidden, nn.SiLU(), nn.Dropout(dropout), logits)
        self.to(memory_format=torch.channels_last)  # faster on CPU

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape [batch, classes], of shape [batch, images, 28, 28]; ValueError for another shape."""
        logits: Tensor = self.classifier[-1](self.features(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """The input of the last layer, shape [batch, 96 * width], for images as in `forward`."""
        if images.shape[1:] != (self.images, 28, 28):
            raise ValueError(
                f"StridedNet reads images of shape [batch, {self.images}, 28, 28], not {list(images.shape)}."
            )
        hidden: Tensor = self.encoder(images).flatten(1)
        for layer in self.classifier[:-1]:
            hidden = layer(hidden)
        return hidden

    def as_sequential(self) -> nn.Sequential:
        """The same network in eval mode, sharing its weights, as a stack of torch's own layers."""
        layers = [layer for layer in self.classifier if not isinstance(layer, nn.Dropout)]
        return nn.Sequential(*self.encoder, nn.Flatten(), *layers)
