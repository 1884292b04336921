"""Random walks among images that networks find alike, as views of them."""

import torch
from torch import Tensor
from torch.nn import functional

from gedi_nesy.core.modes import evaluating
from gedi_nesy.vision.networks import AnyNetworks, in_parts
from gedi_nesy.vision.recipe import View
from gedi_nesy.vision.views import ImageInputs, random_walks

ENDS = 16  # kept ends of walks from each image
VIEWS = 4  # views of each image, whose features are averaged


def walks_by_features(features: Tensor, view: View, generator: torch.Generator) -> Tensor:
    """Where random walks from each image end, int32 [K, n, ENDS], on a graph for each network.

    Two images are neighbours when the directions of their features are, and both have enough others in common
    (`random_walks`).

    Args:
        features: of the images by K networks, [K, n, F].
        view: how far the walks go, and among how many neighbours.
        generator: source of the walks.

    Raises:
        UserError: if there are too few images.
    """
    directions = functional.normalize(features, dim=-1)
    ends = [random_walks(one, view.walk, view.neighbours, generator)[:, :ENDS].int() for one in directions]
    return torch.stack(ends)


@torch.no_grad()
def mean_features(networks: AnyNetworks, inputs: ImageInputs, generator: torch.Generator) -> Tensor:
    """The mean features of some views of each image, [K, n, F]; the views do not walk."""
    everything = torch.arange(inputs.count, device=inputs.x.device).expand(networks.count, -1)

    def encode(rows: Tensor) -> Tensor:
        return torch.stack([networks.encode(inputs.changed(rows, generator)) for _ in range(VIEWS)]).mean(0)

    with evaluating(networks):
        return in_parts(encode, everything, inputs.part)
