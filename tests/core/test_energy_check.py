"""The check on models whose samples are known: by hand, and none by training."""

import math

import pytest
import torch
from torch import nn

from gedi_nesy.core.energy_check import SAMPLES, check_energy
from gedi_nesy.core.sgld import SGLD

CORNERS = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
LANGEVIN = SGLD(steps=300, step_size=0.005, noise=0.1, clamp=(-2.0, 2.0))  # noise = sqrt(2 step_size)


class Wells(nn.Module):
    """A logit for each centre, -sharpness |x - c|^2 / 2: chains end near the centres, and the class is the nearest."""

    def __init__(self, centres, sharpness=40.0):
        super().__init__()
        self.centres, self.sharpness = nn.Parameter(centres), sharpness

    def forward(self, x):
        return -self.sharpness * (x.unsqueeze(1) - self.centres).square().sum(-1) / 2


def data():
    generator = torch.Generator().manual_seed(0)
    return CORNERS.repeat(100, 1) + math.sqrt(1 / 40) * torch.randn(400, 2, generator=generator)


def check(model, sampler=LANGEVIN):
    return check_energy(model, sampler, data()[:SAMPLES], data(), (-2.0, 2.0), torch.Generator().manual_seed(1))


def test_a_model_of_the_data_passes():
    found = check(Wells(CORNERS))
    assert found.failures == ()
    assert abs(found.gap) < 2
    assert found.variety == pytest.approx(1.0, abs=0.1)
    assert found.missing == 0


def test_samples_of_one_class_are_seen():
    found = check(Wells(torch.cat([CORNERS[:1], CORNERS[1:] + 40])))  # the other wells lie outside the box
    assert "symbols of samples unlike those of the data" in found.failures


def test_a_class_that_no_sample_shows_is_seen_though_the_others_are_all_there():
    three = data()[data().sum(1) > -1][:SAMPLES]
    found = check(Wells(CORNERS), sampler=lambda model, starts, generator: three)
    assert found.variety == pytest.approx(math.log(3) / math.log(4), abs=0.02)
    assert found.missing == pytest.approx(0.25, abs=0.02)  # nothing of it by chance: 48 samples are due
    assert found.failures == ("symbols that hardly a sample shows",)


def test_of_many_classes_some_are_missing_by_chance_and_half_of_them_are_not():
    """Each of 64 centres is due in 3 of 192 samples."""
    centres = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0))
    generator, all_ = torch.Generator().manual_seed(0), centres.repeat(3, 1)
    by_chance = centres[torch.randint(64, (SAMPLES,), generator=generator)]
    half = centres[torch.randint(32, (SAMPLES,), generator=generator)]
    assert len(by_chance.unique(dim=0)) < 63
    missing = [
        check_energy(
            Wells(centres), lambda model, starts, source, own=own: own, all_, all_, (0.0, 7.0), generator
        ).missing
        for own in (by_chance, half)
    ]
    assert missing[0] == 0
    assert 0.3 < missing[1] < 0.5


def test_samples_beside_the_data_are_seen():
    assert "samples unlike the data" in check(Wells(CORNERS + torch.tensor([0.0, 0.7]))).failures


def test_energies_that_run_away_are_seen():
    # Data at the corners, wells in the middle of the sides and deep: samples have far lower energies than the data.
    found = check(Wells(torch.tensor([[0.0, 1.0], [0.0, -1.0], [1.0, 0.0], [-1.0, 0.0]])))
    assert found.gap > 3
    assert "energies of data and samples apart" in found.failures
