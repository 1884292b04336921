"""Whether an energy model models its data, told without labels by comparing its samples with the data."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gedi_nesy.core.energy import energy
from gedi_nesy.core.nearest import nearest
from gedi_nesy.core.sgld import SGLD, start_noise

SAMPLES = 192  # chains from uniform noise


@dataclass(frozen=True)
class EnergyCheck:
    """What the samples of an energy model are like.

    Attributes:
        gap: mean energy of the data minus mean energy of the samples, in nats. Near 0, L_GEN's gradient has done its
            work; a network that only tells samples from data drives the gap far below.
        variety: entropy of the samples' mean prediction, divided by the entropy of the data's; near 0 where all samples
            are one symbol, above 1 where they show more symbols than the data.
        missing: share of the data whose symbols hardly a sample shows: less than a tenth of as many as their share of
            the data lets expect; beyond what chance explains, where symbols are so many that some show in no sample.
            Variety hardly falls where one symbol of ten is missing.
        distance: median distance from a sample to the nearest image of the data, divided by the median distance from
            an image of the data to the nearest other one; above 1 where samples lie off the data.
        failures: what these figures say, in words; empty for a model whose samples are like the data.
    """

    gap: float
    variety: float
    missing: float
    distance: float
    failures: tuple[str, ...]


LARGEST_GAP = 5.0  # nats
VARIETIES = 0.75, 1.25
HARDLY = 0.1  # of a symbol's share of the data
LARGEST_MISSING = 0.05
LARGEST_DISTANCE = 1.4


@torch.no_grad()
def check_energy(
    model: nn.Module,
    sgld: SGLD,
    views: Tensor,
    data: Tensor,
    box: tuple[float, float],
    generator: torch.Generator,
    ground: Tensor | None = None,
) -> EnergyCheck:
    """Sample from the model and compare.

    Args:
        model: from x to logits, [batch, classes].
        sgld: the sampler of its training, with as many steps as the chain of a sample takes.
        views: views of some of the data, as training saw them, [n, ...].
        data: [m, ...]; it includes the images that `views` show.
        box: least and greatest value of the noise that chains start from.
        generator: the only source of randomness, on the device of the data.
        ground: of `start_noise`, as in training.
    """
    starts = start_noise((SAMPLES, *data.shape[1:]), box, generator, ground)
    samples = sgld(model, starts, generator)
    own, others = model(views), model(samples)
    gap = (energy(own).mean() - energy(others).mean()).item()
    shares, shown = own.softmax(-1).mean(0), others.softmax(-1).mean(0)
    variety = (_entropy(shown) / _entropy(shares).clamp_min(1e-6)).item()
    missing = _missing(shares, shown)
    between = nearest(data[:SAMPLES], data, itself=True)[0].median().clamp_min(1e-6)
    distance = (nearest(samples, data)[0].median() / between).item()
    return EnergyCheck(gap, variety, missing, distance, energy_failures(gap, variety, missing, distance))


def energy_failures(gap: float, variety: float, missing: float, distance: float) -> tuple[str, ...]:
    """What the figures of an `EnergyCheck` say, by thresholds that were set on runs (experiments/README.md)."""
    failures = {
        "energies of data and samples apart": abs(gap) > LARGEST_GAP,
        "symbols of samples unlike those of the data": not VARIETIES[0] <= variety <= VARIETIES[1],
        "symbols that hardly a sample shows": missing > LARGEST_MISSING,
        "samples unlike the data": distance > LARGEST_DISTANCE,
    }
    return tuple(name for name, applies in failures.items() if applies)


def _missing(shares: Tensor, shown: Tensor) -> float:
    """See `EnergyCheck`, from symbols' shares of the data and of the samples, [classes] each.

    Chance explains what is expected and three standard deviations more.
    """
    unseen = (-SAMPLES * shares).exp()  # the chance that no sample shows a symbol
    expected, deviation = (shares * unseen).sum(), (shares.square() * unseen * (1 - unseen)).sum().sqrt()
    return (shares[shown < HARDLY * shares].sum() - expected - 3 * deviation).clamp(min=0).item()


def _entropy(shares: Tensor) -> Tensor:
    return torch.special.entr(shares).sum()
