"""Networks in bfloat16 as SGLD's chains see them: their weights are rounded once a step of training."""

import copy

import torch
from torch import Tensor, nn

from gedi_nesy.networks.spectral import SpectralConv2d
from gedi_nesy.vision.image_network import ImageNetworks


class Rounded:
    """A copy that needs no gradient, whose encoders' convolutions and linear layers are bfloat16.

    Autocast would round the same weights to the same values, but anew in each of the chains' steps: it caches only
    weights that need a gradient. Layers that autocast leaves in float32, as group norm, stay so. Kernels with spectral
    norm are divided by it before they are rounded.

    Args:
        networks: in training, with `speed.bf16`; without batch norm, as L_GEN needs them.
    """

    def __init__(self, networks: ImageNetworks) -> None:
        self.networks = networks
        self._copy = copy.deepcopy(networks).requires_grad_(False)
        for member in self._copy.members:
            for layer in member.encoder.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    layer.to(torch.bfloat16)
        self._copy.speed_up()
        self._own: list[Tensor] = [*self._copy.parameters()]
        self._theirs: list[Tensor] = [*networks.parameters()]
        self._spectral = list(zip(_spectral(self._copy), _spectral(networks), strict=True))
        for own, _ in self._spectral:
            own.is_normed = True

    @torch.no_grad()
    def __call__(self) -> ImageNetworks:
        """The networks as they are now; the next call changes them."""
        torch._foreach_copy_(self._own, self._theirs)
        for own, its in self._spectral:
            own.weight.copy_(its.normed())
        return self._copy


def _spectral(networks: ImageNetworks) -> list[SpectralConv2d]:
    return [layer for layer in networks.modules() if isinstance(layer, SpectralConv2d)]
