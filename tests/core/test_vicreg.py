import pytest
import torch
from lightly.loss import VICRegLoss

from gedi_nesy.core.losses import vicreg_loss


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (1.0, 0.5, 3.0)])
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_value_and_gradient_are_lightlys(weights, scale):
    first, second = (scale * normal(60, 32)).requires_grad_(), scale * normal(60, 32, seed=1)
    ours, reference = vicreg_loss(first, second, *weights), VICRegLoss(*weights)(first, second)
    torch.testing.assert_close(ours, reference)
    torch.testing.assert_close(*(torch.autograd.grad(loss, first)[0] for loss in (ours, reference)))


def test_the_published_weights_are_the_defaults():
    first, second = normal(20, 4), normal(20, 4, seed=1)
    torch.testing.assert_close(vicreg_loss(first, second), VICRegLoss()(first, second))


def test_by_hand():
    a, b = [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]  # variance 4 / 3, uncorrelated
    good = torch.tensor([a, b]).T
    assert vicreg_loss(good, good).item() == pytest.approx(0.0)
    assert vicreg_loss(good, good + 2, invariance=3.0).item() == pytest.approx(3 * 4)  # a shift counts only here
    redundant = torch.tensor([a, a]).T  # covariance 4 / 3, twice in each of two matrices, over 2 dimensions
    assert vicreg_loss(redundant, redundant, redundancy=0.5).item() == pytest.approx(0.5 * 2 * (4 / 3) ** 2)
    small = 0.3 * good  # deviation .3 sqrt(4 / 3), in both views and dimensions
    deviation = (0.09 * 4 / 3 + 1e-4) ** 0.5
    assert vicreg_loss(small, small, variance=2.0, redundancy=0.0).item() == pytest.approx(2 * (1 - deviation))


def test_order_and_signs_of_dimensions_do_not_matter():
    first, second = normal(9, 3), normal(9, 3, seed=1)
    changed = torch.tensor([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])
    torch.testing.assert_close(vicreg_loss(first @ changed, second @ changed), vicreg_loss(first, second))
