import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightly.loss import BarlowTwinsLoss

from gedi_nesy.core.losses import barlow_loss, cross_correlation


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("redundancy", [5e-3, 0.3])
def test_value_and_gradient_are_lightlys(redundancy):
    first, second = normal(60, 84).requires_grad_(), 0.5 * normal(60, 84) + normal(60, 84, seed=1)
    ours, reference = barlow_loss(first, second, redundancy), BarlowTwinsLoss(redundancy)(first, second)
    torch.testing.assert_close(ours, reference)
    gradients = [torch.autograd.grad(loss, first)[0] for loss in (ours, reference)]
    torch.testing.assert_close(*gradients)


def test_the_published_lambda_is_the_default():
    first, second = normal(20, 4), normal(20, 4, seed=1)
    torch.testing.assert_close(barlow_loss(first, second), BarlowTwinsLoss()(first, second))


def test_by_hand():
    a, b = [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]  # mean 0, deviation 1, uncorrelated
    same = torch.tensor([a, b]).T
    assert barlow_loss(same, same).item() == pytest.approx(0.0, abs=1e-8)
    swapped = torch.tensor([b, a]).T  # C = [[0, 1], [1, 0]]
    assert barlow_loss(same, swapped).item() == pytest.approx(2 + 5e-3 * 2, rel=1e-4)
    redundant = torch.tensor([a, a]).T  # C is 1 everywhere
    assert barlow_loss(redundant, redundant, redundancy=0.5).item() == pytest.approx(0.5 * 2, rel=1e-4)
    opposite = -same  # C = -1 on the diagonal
    assert barlow_loss(same, opposite).item() == pytest.approx(2 * 4, rel=1e-4)


def test_a_constant_embedding_is_punished_not_undefined():
    constant = torch.ones(5, 3, requires_grad=True)  # C = 0
    loss = barlow_loss(constant, constant)
    loss.backward()
    assert loss.item() == pytest.approx(3.0)
    assert constant.grad.isfinite().all()


def test_correlations_are_those_of_numpys_definition():
    first, second = normal(50, 3).double(), normal(50, 3, seed=1).double()
    expected = torch.corrcoef(torch.cat([first, second], 1).T)[:3, 3:]
    torch.testing.assert_close(cross_correlation(first, second), expected, atol=1e-4, rtol=0)


@given(st.permutations(range(4)), st.floats(0.5, 5), st.floats(-5, 5))
def test_scale_shift_and_order_of_dimensions_do_not_matter(order, scale, shift):
    first, second = normal(30, 4).double(), normal(30, 4, seed=1).double()
    changed = barlow_loss(scale * first[:, order] + shift, second[:, order] - shift)
    torch.testing.assert_close(changed, barlow_loss(first, second), atol=1e-4, rtol=1e-4)


def test_leading_dimensions_are_kept_apart():
    first, second = normal(3, 2, 8, 4), normal(3, 2, 8, 4, seed=1)
    one_by_one = [barlow_loss(*pair) for pair in zip(first.flatten(0, 1), second.flatten(0, 1), strict=True)]
    torch.testing.assert_close(barlow_loss(first, second), torch.stack(one_by_one).view(3, 2))
