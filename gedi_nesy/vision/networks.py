"""The networks that a recipe describes, on points or on images."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from gedi_nesy.vision.image_network import ImageNetworks
from gedi_nesy.vision.network import Networks
from gedi_nesy.vision.recipe import Recipe, Stage

AnyNetworks = Networks | ImageNetworks


def new_networks(
    recipe: Recipe, count: int, shape: tuple[int, ...], clusters: int, seed: int, stage: Stage | None = None
) -> AnyNetworks:
    """Fresh networks on points [d] or images [C, H, W], as a stage trains them; by default the last one."""
    network = recipe.network_of(stage or recipe.last)
    if recipe.track == "images":
        return ImageNetworks(count, network, recipe.speed, shape[0], clusters, seed)
    widths, head = [int(width) for width in network.encoder], (network.head, network.temperature)
    return Networks(count, shape[0], widths, network.projector, clusters, *head, seed, network.l2_norm)


def clusters_in(weights: Mapping[str, Tensor], recipe: Recipe) -> int:
    """How many clusters a recipe's networks with these weights tell apart."""
    cosine = recipe.network_of(recipe.last).head == "cosine"
    if recipe.track == "images":
        return len(weights["networks.0.head.prototypes.weight" if cosine else "networks.0.head.bias"])
    return weights["head.prototypes" if cosine else "head.weight"].shape[-1]


def in_parts(function: Callable[[Tensor], Tensor], x: Tensor, size: int) -> Tensor:
    """function(x) by so many examples at a time, [K, n, ...] -> [K, n, ...], where all at once need too much memory."""
    return torch.cat([function(part) for part in x.split(size, 1)], 1)
