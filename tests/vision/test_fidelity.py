"""Distances of samples from real images, on Gaussians and points whose figures are known."""

import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.vision.fidelity import frechet_distance, kernel_distance, precision_recall


def exact_gaussian(n, mean, deviation):
    """n points whose sample mean and covariance are exactly these: deviation squared on the diagonal, and 0 beside."""
    x = torch.randn(n, len(mean), generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    x -= x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False).T
    return torch.tensor(mean) + white * torch.tensor(deviation)


def test_frechet_distance_of_known_gaussians():
    real = exact_gaussian(200, [0.0, 1.0, 2.0], [1.0, 2.0, 3.0])
    samples = exact_gaussian(150, [3.0, 1.0, -2.0], [1.0, 4.0, 0.5])
    # |difference of means|^2 + sum of (difference of deviations)^2, as the covariances commute
    assert frechet_distance(real, samples) == pytest.approx((9 + 0 + 16) + (0 + 4 + 6.25))
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_does_not_see_a_rotation_of_both():
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(4, 4, generator=generator)
    real, samples = torch.randn(300, 4, generator=generator) @ mix, torch.randn(200, 4, generator=generator)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator)).Q
    assert frechet_distance(real @ turn, samples @ turn) == pytest.approx(frechet_distance(real, samples), rel=1e-4)


def test_kernel_distance_is_the_unbiased_estimate_by_brute_force():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(12, 2, generator=generator)
    samples = torch.randn(12, 2, generator=generator) + 1

    def kernel(a, b):
        return float((a @ b / 2 + 1) ** 3)

    def within(points):
        return sum(kernel(points[i], points[j]) for i in range(12) for j in range(12) if i != j) / (12 * 11)

    across = sum(kernel(x, y) for x in real for y in samples) / 12**2
    # subsets as large as the sets: every one is the whole
    assert kernel_distance(real, samples) == pytest.approx(within(real) + within(samples) - 2 * across)


def test_kernel_distance_grows_with_the_shift():
    real, same = torch.randn(2, 200, 2, generator=torch.Generator().manual_seed(0))
    none, little, more = (kernel_distance(real, same + shift) for shift in (0.0, 0.5, 1.0))
    assert abs(none) < little / 3 < more / 6


def test_precision_and_recall_of_points_on_a_line():
    real = torch.tensor([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])  # two modes
    # with k = 1 every ball reaches 1 far: the manifold is [-1, 3] and [9, 13]
    samples = torch.tensor([[0.5], [2.5], [3.5]])  # their balls: [-1.5, 2.5], [1.5, 3.5], [2.5, 4.5]
    precision, recall = precision_recall(real, samples, neighbours=1)
    assert precision == pytest.approx(2 / 3)  # 3.5 is off the manifold
    assert recall == pytest.approx(3 / 6)  # the second mode is never drawn


def test_samples_that_are_the_images_have_both_and_noise_has_neither():
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(60, 2, generator=generator)
    assert precision_recall(real, real) == (1.0, 1.0)
    assert precision_recall(real, real + 100) == (0.0, 0.0)


@pytest.mark.parametrize("measure", [frechet_distance, kernel_distance, precision_recall])
def test_too_few_are_refused(measure):
    with pytest.raises(UserError, match="samples or more, not 1"):
        measure(torch.randn(10, 2), torch.randn(1, 2))
