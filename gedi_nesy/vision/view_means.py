"""What networks see in each image, on average over some of its views."""

from collections.abc import Callable

import torch
from torch import Tensor

from gedi_nesy.core.modes import evaluating
from gedi_nesy.vision.networks import AnyNetworks, in_parts
from gedi_nesy.vision.views import ImageInputs

VIEWS = 4  # of each image, whose features are averaged


def mean_features(networks: AnyNetworks, inputs: ImageInputs, generator: torch.Generator) -> Tensor:
    """The mean features of some views of each image, [K, n, F]; the views do not walk."""
    return _mean_over_views(networks, networks.encode, inputs, VIEWS, generator)


def mean_predictions(networks: AnyNetworks, inputs: ImageInputs, views: int, generator: torch.Generator) -> Tensor:
    """The mean p(y|x) of some views of each image, [K, n, clusters]; the views do not walk."""
    return _mean_over_views(networks, lambda x: networks(x).softmax(-1), inputs, views, generator)


@torch.no_grad()
def _mean_over_views(
    networks: AnyNetworks,
    function: Callable[[Tensor], Tensor],
    inputs: ImageInputs,
    views: int,
    generator: torch.Generator,
) -> Tensor:
    everything = torch.arange(inputs.count, device=inputs.x.device).expand(networks.count, -1)

    def mean(rows: Tensor) -> Tensor:
        return torch.stack([function(inputs.changed(rows, generator)) for _ in range(views)]).mean(0)

    with evaluating(networks):
        return in_parts(mean, everything, inputs.part)
