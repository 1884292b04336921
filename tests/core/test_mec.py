import math

import pytest
import torch

from gedi_nesy.core.losses import mec_loss


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def series(x):
    return x - x**2 / 2 + x**3 / 3 - x**4 / 4


def authors(first, second, inverse):
    """The authors' code: powers of the images' cosines, [batch, batch], with inverse = batch * distortion."""
    first, second = (torch.nn.functional.normalize(z, dim=1) for z in (first, second))
    cosines = first @ second.T / inverse
    powers = [torch.linalg.matrix_power(cosines, k) / k * (-1) ** (k + 1) for k in range(1, 5)]
    return -sum(power.trace() for power in powers) / len(first) * inverse


@pytest.mark.parametrize("distortion", [1.0, 1 / 32, 4.0])
def test_value_is_that_of_the_authors_code(distortion):
    first, second = normal(20, 6), normal(20, 6) + normal(20, 6, seed=1)
    torch.testing.assert_close(mec_loss(first, second, distortion), authors(first, second, 20 * distortion))


def test_by_hand():
    axes = torch.eye(2)  # Z^T Z / 2 = I / 2
    assert mec_loss(axes, axes).item() == pytest.approx(-2 * series(1 / 2))
    collapsed = torch.ones(5, 2)
    assert mec_loss(collapsed, collapsed).item() == pytest.approx(-series(1.0))
    assert mec_loss(axes, -axes).item() == pytest.approx(-2 * series(-1 / 2))


def test_it_is_a_code_length_where_the_series_converges():
    first, second = normal(20, 6), normal(20, 6) + 0.2 * normal(20, 6, seed=1)
    unit = [torch.nn.functional.normalize(z, dim=1) for z in (first, second)]
    exact = -3 * torch.logdet(torch.eye(6) + unit[0].T @ unit[1] / (20 * 3))
    assert mec_loss(first, second, distortion=3.0).item() == pytest.approx(exact.item(), rel=1e-5)


def test_coding_error_far_above_the_data_leaves_the_mean_cosine():
    first, second = normal(20, 6), normal(20, 6, seed=1)
    cosine = torch.nn.functional.cosine_similarity(first, second).mean()
    assert mec_loss(first, second, distortion=1e6).item() == pytest.approx(-cosine.item(), rel=1e-4)
    assert math.isclose(mec_loss(first, first, distortion=1e6).item(), -1, rel_tol=1e-5)
