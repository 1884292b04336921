"""A convolution with spectral norm, so that outputs and gradients of an energy model can't grow without bounds."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SpectralConv2d(nn.Conv2d):
    """A convolution whose kernel, as a matrix [outputs, rest], is divided by its greatest singular value.

    One power iteration a pass follows that value (Miyato et al. 2018), and only where the kernel learns: for SGLD's
    chains it stays as it is. It takes no part in autocast.

    Attributes:
        left: about the value's left singular vector, [outputs].
        is_normed: whether the kernel has been divided before, and is to be taken as it is.
    """

    left: Tensor

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        super().__init__(inputs, outputs, side, padding=side // 2)
        self.register_buffer("left", F.normalize(torch.randn(outputs), dim=0))
        self.is_normed = False

    def forward(self, images: Tensor) -> Tensor:
        """[batch, inputs, height, width] -> [batch, outputs, height, width]."""
        return self._conv_forward(images, self.weight if self.is_normed else self.normed(), self.bias)

    def normed(self) -> Tensor:
        """The kernel, divided."""
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            with torch.no_grad():
                right = F.normalize(matrix.T @ self.left, dim=0)
                left = F.normalize(matrix @ right, dim=0)
            if self.training and self.weight.requires_grad and torch.is_grad_enabled():
                self.left.copy_(left)
            return self.weight / (left @ matrix @ right)
