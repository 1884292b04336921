"""Residual networks for pictures: the paper's 8 layers, and ResNet-18 with a stem for small images."""

from torch import Tensor, nn
from torch.nn import functional as F

from gedi_nesy.networks.spectral import SpectralConv2d


class ResNet8(nn.Module):
    """The 8-layer residual network of the paper's App. M: LeakyReLU of slope 0.2, no normalisation, average pooling.

    The paper's table names the skip connection of the first block only; here, as in a ResNet, every block has one.

    Args:
        features: of an image, and channels of each layer.
        channels: of the images.
        spectral: whether convolutions have spectral norm.
    """

    def __init__(self, features: int = 128, channels: int = 3, spectral: bool = False) -> None:
        super().__init__()
        conv = SpectralConv2d if spectral else _conv
        self.stem = nn.Sequential(conv(channels, features, 3), _activation(), conv(features, features, 3))
        self.stem_skip = conv(channels, features, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(_activation(), conv(features, features, 3), _activation(), conv(features, features, 3))
            for _ in range(3)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Features, shape [batch, features], of images of shape [batch, channels, height, width], sides >= 4."""
        hidden = F.avg_pool2d(self.stem(images), 2) + self.stem_skip(F.avg_pool2d(images, 2))
        first, *others = self.blocks
        hidden = F.avg_pool2d(hidden + first(hidden), 2)
        for block in others:
            hidden = hidden + block(hidden)
        return hidden.mean((2, 3))


def resnet18(channels: int = 3, group_norm: bool = False) -> nn.Module:
    """torchvision's ResNet-18 up to its 512 features, with the stem for small images: a 3 x 3 convolution, no pool.

    Args:
        channels: of the images, [batch, channels, height, width].
        group_norm: groups of 8 channels are normalised in each image, instead of each channel over the batch.
    """
    from torchvision import models  # slow to import

    net: nn.Module = models.resnet18(norm_layer=_group_norm if group_norm else None)
    net.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision does the others
    net.maxpool, net.fc = nn.Identity(), nn.Identity()
    return net


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(channels // 8, channels)


def _conv(inputs: int, outputs: int, side: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, padding=side // 2)


def _activation() -> nn.Module:
    return nn.LeakyReLU(0.2)
