"""The networks that a recipe describes, on points or on images."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from gedi_nesy.vision.image_network import ImageNetworks
from gedi_nesy.vision.network import Networks
from gedi_nesy.vision.recipe import Network, Recipe

AnyNetworks = Networks | ImageNetworks


def new_networks(recipe: Recipe, count: int, shape: tuple[int, ...], clusters: int, seed: int) -> AnyNetworks:
    """Fresh networks on points [d] or images [C, H, W]."""
    of = recipe.network
    if of.reads_images:
        return ImageNetworks(count, of, recipe.speed, shape[0], clusters, seed)
    widths = [int(width) for width in of.encoder]
    return Networks(count, shape[0], widths, of.projector, clusters, of.head, of.temperature, seed, of.l2_norm)


def clusters_in(weights: Mapping[str, Tensor], network: Network) -> int:
    """How many clusters networks of this kind with these weights tell apart."""
    if network.reads_images:
        return len(weights["networks.0.head.prototypes.weight" if network.head == "cosine" else "networks.0.head.bias"])
    return weights["head.prototypes" if network.head == "cosine" else "head.weight"].shape[-1]


def in_parts(function: Callable[[Tensor], Tensor], x: Tensor, size: int) -> Tensor:
    """function(x) by so many examples at a time, [K, n, ...] -> [K, n, ...], where all at once need too much memory."""
    return torch.cat([function(part) for part in x.split(size, 1)], 1)
