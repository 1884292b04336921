import math

import pytest
import torch

from gedi_nesy.vision.density import Grid, kde_log_likelihood, log_likelihood


class Bell:
    """A stack of one whose E(x) = |x|^2 / 2, the standard normal up to its constant."""

    count = 1

    def __call__(self, x):
        logits = torch.stack([-x.square().sum(-1) / 2, torch.full(x.shape[:-1], -60.0)], -1)
        return logits

    def parameters(self):
        return iter([torch.zeros(1)])


def test_the_grid_normalises_the_standard_normal():
    assert Grid(-6, 6).log_normalizer(Bell()).item() == pytest.approx(math.log(2 * math.pi), abs=1e-3)
    assert Grid(-6, 6).log_density(Bell()).exp().sum().item() * (12 / 400) ** 2 == pytest.approx(1, abs=1e-4)


def test_the_log_likelihood_of_a_point_is_that_of_the_normal():
    x = torch.tensor([[1.0, 2.0]])
    assert log_likelihood(Bell(), x, Grid(-6, 6)).item() == pytest.approx(-5 / 2 - math.log(2 * math.pi), abs=1e-3)


def test_the_kernel_density_estimate_needs_no_order_and_no_five_points():
    x = 0.1 * torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    x += torch.arange(5).repeat_interleave(80)[:, None]  # five clusters, sorted
    mixed = x[torch.randperm(400, generator=torch.Generator().manual_seed(1))]
    assert kde_log_likelihood(x, x) == pytest.approx(kde_log_likelihood(mixed, x), abs=0.1)
    assert math.isfinite(kde_log_likelihood(x[:3], x))


def test_the_kernel_density_estimate_nears_the_entropy_of_its_source():
    x = torch.randn(3000, 2, generator=torch.Generator().manual_seed(0))
    entropy = 1 + math.log(2 * math.pi)  # of the standard normal in the plane
    assert kde_log_likelihood(x[:1500], x[1500:]) == pytest.approx(-entropy, abs=0.1)
