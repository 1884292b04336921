"""r(x), and the tilted density that chains sample with it."""

import math

import pytest
import torch
from torch import nn

from gedi_nesy.core.energy import log_density, ood_score
from gedi_nesy.core.reference import Reference, ground_of
from gedi_nesy.core.sgld import SGLD
from gedi_nesy.errors import UserError
from gedi_nesy.networks.strided_net import StridedNet


class Slope(nn.Module):
    """One logit b x, so that exp(-E(x)) alone has no integral."""

    def __init__(self, b):
        super().__init__()
        self.b = nn.Parameter(torch.tensor(b))

    def forward(self, x):
        return self.b * x


def test_log_density_and_gradient_by_hand():
    reference = Reference(torch.tensor([1.0]), 4.0)
    x = torch.tensor([[3.0], [1.0]])
    assert reference.log_density(x).tolist() == [-(2.0**2) / (2 * 4), 0.0]
    assert reference.gradient(x).tolist() == [[-2 / 4], [0.0]]
    assert log_density(torch.tensor([[0.0, 0.0]] * 2), x, reference).tolist() == pytest.approx(
        [math.log(2) - 0.5, math.log(2)]
    )


def test_chains_sample_the_energy_times_the_reference():
    # exp(b x) N(x; g, v) is N(x; g + b v, v): here the mean is -1 + .5 * 4 = 1. A proper Langevin step of size s has
    # noise sqrt(2 s); discretised, the variance is 2 s / (1 - (1 - s / v)^2) = 4.05.
    model, reference, step = Slope(0.5), Reference(torch.tensor([-1.0]), 4.0), 0.1
    sgld = SGLD(steps=300, step_size=step, noise=math.sqrt(2 * step), reference=reference)
    end = sgld(model, torch.zeros(20_000, 1), torch.Generator().manual_seed(0))
    assert end.mean().item() == pytest.approx(1.0, abs=0.05)
    assert end.var().item() == pytest.approx(2 * step / (1 - (1 - step / 4) ** 2), rel=0.04)


def test_without_a_ground_r_says_nothing_of_the_mean():
    reference, x = Reference(None, 2.0), torch.tensor([[[[3.0, 1.0]], [[0.0, 4.0]]]])  # two channels of two pixels
    assert reference.log_density(x).tolist() == [-(1 + 1 + 4 + 4) / (2 * 2)]
    assert reference.log_density(x + torch.tensor([5.0, -7.0]).view(1, 2, 1, 1)).tolist() == [-2.5]
    slope = torch.func.grad(lambda x: reference.log_density(x).sum())(x)
    torch.testing.assert_close(reference.gradient(x), slope)


@pytest.mark.parametrize(("channels", "ground"), [(1, -0.5), (3, None)])
def test_both_engines_sample_alike(channels, ground):
    torch.manual_seed(0)
    model, x = StridedNet(channels=channels), torch.rand(20, channels, 28, 28) * 2 - 1
    reference = Reference(ground if ground is None else torch.full((1, 1, 1), ground), 5.0)
    ends = []
    for engine in ("torch", "numba"):
        sgld = SGLD(20, 1.0, 0.01, (-1.0, 1.0), engine, reference=reference)
        ends.append(sgld(model, x, torch.Generator().manual_seed(3)))
    torch.testing.assert_close(*ends, rtol=0, atol=5e-6)


def test_the_gradient_score_has_the_references_part():
    # d log p/dx = b + (g - x) / v = .5 + (-1 - 3) / 4 = -.5
    assert ood_score(Slope(0.5), torch.tensor([[3.0]]), Reference(torch.tensor([-1.0]), 4.0)).item() == -0.5


def test_the_ground_is_each_channels_median():
    images = torch.stack([torch.tensor([[0.0, 0.0], [9.0, 0.0]]), torch.tensor([[1.0, 1.0], [1.0, 7.0]])])
    assert ground_of(images.unsqueeze(0)).tolist() == [[[0.0]], [[1.0]]]


def test_jumps_know_no_reference():
    with pytest.raises(UserError, match="jumps know no reference"):
        SGLD(clamp=(0.0, 1.0), jump=True, reference=Reference(torch.zeros(1), 1.0))
