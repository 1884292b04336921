"""Random walks among images that networks find alike, as views of them."""

import torch
from torch import Tensor
from torch.nn import functional

from gedi_nesy.vision.recipe import View
from gedi_nesy.vision.views import random_walks

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
