import math

import pytest
import torch

from gedi_nesy.core.losses import corinfomax_loss


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_against_numpys_covariance_and_determinant():
    first, second = (torch.nn.functional.normalize(normal(20, 4, seed=seed), dim=-1) for seed in (0, 1))
    spread = sum(torch.linalg.slogdet(torch.cov(z.T, correction=0) + 0.01 * torch.eye(4))[1] for z in (first, second))
    expected = 3 * torch.nn.functional.mse_loss(first, second) - spread / 4
    # as the authors' code, from where its moving averages forget everything at once
    torch.testing.assert_close(corinfomax_loss(first, second, attraction=3, epsilon=0.01), expected)


def test_by_hand():
    a, b = math.cos(0.3), math.sin(0.3)
    cross = torch.tensor([[a, b], [-a, b], [a, -b], [-a, -b]])  # mean 0, R = diag(a^2, b^2)
    expected = -2 * math.log(a**2 * b**2) / 2
    assert corinfomax_loss(cross, cross).item() == pytest.approx(expected, rel=1e-5)
    mirrored = cross.flip(-1)  # R = diag(b^2, a^2), and each coordinate is off by a - b
    views = corinfomax_loss(cross, cross @ torch.tensor([[0.0, 1.0], [1.0, 0.0]]), attraction=7.0)
    torch.testing.assert_close(mirrored, cross @ torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    squared = ((a - b) ** 2 + (a + b) ** 2) / 2  # half of the images lie in quadrants where the signs differ
    assert views.item() == pytest.approx(expected + 7 * squared, rel=1e-5)


def test_a_collapsed_batch_and_one_with_fewer_images_than_dimensions_stay_finite():
    collapsed = torch.ones(5, 2)
    assert corinfomax_loss(collapsed, collapsed).item() == pytest.approx(-2 * math.log(1e-8), rel=1e-6)
    first, second = normal(16, 64).float(), normal(16, 64, seed=1).float()  # 48 eigenvalues are 0
    precise = corinfomax_loss(first.double(), second.double())
    assert corinfomax_loss(first, second).item() == pytest.approx(precise.item(), rel=1e-5)
