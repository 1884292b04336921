"""Jumps leave the density as it is, and mix what Langevin steps can't."""

import math

import pytest
import torch
from torch import nn

from gedi_nesy.core.jumps import jump
from gedi_nesy.core.sgld import SGLD
from gedi_nesy.errors import UserError


class TwoWells(nn.Module):
    """p(x) is 4 / 5 / |well| in a well left of -3, 1 / 5 / |well| in one right of 3, and nothing in between."""

    def forward(self, x):
        log_density = torch.where(x < 0, math.log(4), 0.0) - 100 * (x.abs() < 3) + 0 * x
        return log_density.sum(-1, keepdim=True)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_jump_by_hand():
    # To a less likely point with the ratio of the densities, 1 / 4; to a likelier one always.
    x = torch.full((40_000, 1), -4.0)
    after = jump(TwoWells(), x, (3.0, 5.0), generator())
    assert (after > 0).float().mean().item() == pytest.approx(1 / 4, abs=0.01)
    back = jump(TwoWells(), after.abs(), (-5.0, -3.0), generator(1))
    assert (back < 0).all()
    assert back.min() >= -5
    assert back.max() <= -3


def test_chains_get_to_all_regions_and_stay_in_proportion():
    settings = {"steps": 40, "step_size": 1e-3, "noise": math.sqrt(2e-3), "clamp": (-5.0, 5.0)}
    start = torch.full((10_000, 1), 4.0)
    assert (SGLD(**settings)(TwoWells(), start, generator()) > 0).all()
    mixed = SGLD(**settings, jump=True)(TwoWells(), start, generator())
    assert (mixed < 0).float().mean().item() == pytest.approx(4 / 5, abs=0.015)


def test_stacks_of_networks_jump_apart():
    class Stack(nn.Module):
        def forward(self, x):  # [K, chains, 2]: the first network likes the left half, the second the right one
            return torch.tensor([-50.0, 50.0])[:, None, None] * x[..., :1].sign()

    after = SGLD(steps=20, step_size=1e-6, noise=0.0, clamp=(-1.0, 1.0), jump=True)(
        Stack(), torch.zeros(2, 500, 2), generator()
    )
    assert (after[0, :, 0] < 0).all()
    assert (after[1, :, 0] > 0).all()


@pytest.mark.parametrize("settings", [{}, {"clamp": (0.0, 1.0), "engine": "numba"}])
def test_where_jumps_are_refused(settings):
    with pytest.raises(UserError, match="jumps inside a clamp only"):
        SGLD(**settings, jump=True)
