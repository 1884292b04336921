"""Jumps: Metropolis-Hastings steps to anywhere in a box, for chains that Langevin steps keep in one region."""

import torch
from torch import Tensor, nn

from gedi_nesy.core.energy import energy


@torch.no_grad()
def jump(model: nn.Module, x: Tensor, box: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Propose to each chain a point drawn uniformly in the box, and take it with probability min(1, p(x') / p(x)).

    Chains that follow p(x) = exp(-E(x)) / Z on the box still do so afterwards, whatever lies between their regions. In
    few dimensions many proposals are accepted; in as many as images have, none.

    Args:
        model: from x to logits, [..., classes].
        x: where the chains are, inside the box, [..., *shape of a point].
        box: least and greatest coordinate in every direction.
        generator: the only source of randomness, on the device of x.

    Returns:
        Where the chains are after the jump, in the shape of x.
    """
    proposed = torch.empty_like(x).uniform_(*box, generator=generator)
    gain = energy(model(x)) - energy(model(proposed))  # log p(x') - log p(x)
    chance = torch.rand(gain.shape, generator=generator, device=x.device, dtype=x.dtype)
    taken = chance.log() < gain
    return torch.where(taken.view(*taken.shape, *[1] * (x.dim() - taken.dim())), proposed, x)
