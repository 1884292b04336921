"""Random walks among images that networks find alike, as views of them."""

import torch
from torch import Tensor
from torch.nn import functional

from gedi_nesy.core.modes import evaluating
from gedi_nesy.vision.networks import AnyNetworks, in_parts
from gedi_nesy.vision.recipe import View
from gedi_nesy.vision.views import ImageInputs, random_walks

ENDS = 16  # of walks from each image, which are kept
VIEWS = 4  # of each image, whose features are averaged


def walks_by_features(networks: AnyNetworks, inputs: ImageInputs, view: View, generator: torch.Generator) -> Tensor:
    """Where random walks from each image end, int32 [K, n, ENDS], on a graph for each network.

    Two images are neighbours when the directions of their features are, and both have enough others in common
    (`random_walks`).

    Args:
        networks: K of them.
        inputs: the images.
        view: how far the walks go, and among how many neighbours.
        generator: source of the views and the walks.

    Raises:
        UserError: if there are too few images.
    """
    ends = [
        random_walks(one, view.walk, view.neighbours, generator)[:, :ENDS].int()
        for one in mean_features(networks, inputs, generator)
    ]
    return torch.stack(ends)


@torch.no_grad()
def mean_features(networks: AnyNetworks, inputs: ImageInputs, generator: torch.Generator) -> Tensor:
    """The mean direction of the features of some views of each image, of length 1: [K, n, features]."""
    everything = torch.arange(inputs.count, device=inputs.x.device).expand(networks.count, -1)

    def directions(rows: Tensor) -> Tensor:
        views = (networks.encode(inputs.changed(rows, generator)) for _ in range(VIEWS))
        return torch.stack([functional.normalize(features, dim=-1) for features in views]).mean(0)

    with evaluating(networks):
        return functional.normalize(in_parts(directions, everything, inputs.part), dim=-1)
