import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightly.loss import SwaVLoss
from lightly.loss.swav_loss import sinkhorn as lightly_sinkhorn

from gedi_nesy.core.losses import sinkhorn, swav_loss


def cosines(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(("epsilon", "iterations"), [(0.05, 3), (0.5, 1), (0.1, 20)])
def test_codes_and_loss_are_lightlys(epsilon, iterations):
    scores, view_scores = cosines(60, 10), cosines(60, 10, seed=1)
    codes = sinkhorn(scores, epsilon, iterations)
    torch.testing.assert_close(codes, lightly_sinkhorn(scores, iterations, epsilon))
    reference = SwaVLoss(0.2, sinkhorn_iterations=iterations, sinkhorn_epsilon=epsilon)([scores, view_scores], [])
    torch.testing.assert_close(swav_loss(scores, view_scores, 0.2, epsilon, iterations), reference[0])


def test_the_published_values_are_the_defaults():
    scores, view_scores = cosines(60, 10), cosines(60, 10, seed=1)
    torch.testing.assert_close(swav_loss(scores, view_scores), SwaVLoss()([scores, view_scores], [])[0])


def test_the_gradient_is_lightlys_and_stops_at_the_codes():
    scores, view_scores = (cosines(12, 4, seed=seed).requires_grad_() for seed in (0, 1))
    (ours,) = torch.autograd.grad(swav_loss(scores, view_scores), scores)
    (reference,) = torch.autograd.grad(SwaVLoss()([scores, view_scores], []), scores)
    torch.testing.assert_close(ours, reference)
    # half the mean over 12 images of (p - q) / temperature, q being a constant
    expected = ((scores / 0.1).softmax(-1) - sinkhorn(view_scores)) / 0.1 / 12 / 2
    torch.testing.assert_close(ours, expected.detach())


def test_one_iteration_by_hand():
    scores = torch.tensor([[math.log(2.0), 0.0], [math.log(2.0), math.log(3.0)]])  # exp: [[2, 1], [2, 3]]
    # each column sums to 1: [[1/2, 1/4], [1/2, 3/4]]; then each row: [2/3, 1/3], [2/5, 3/5]
    expected = torch.tensor([[2 / 3, 1 / 3], [2 / 5, 3 / 5]])
    torch.testing.assert_close(sinkhorn(scores, epsilon=1.0, iterations=1), expected)


def test_swapped_prediction_by_hand():
    # both views alike and symmetric, so that the codes are softmax(scores / epsilon) from the start
    scores = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    code, prediction = 1 / (1 + math.exp(-1 / 0.5)), 1 / (1 + math.exp(-1 / 0.25))
    expected = -code * math.log(prediction) - (1 - code) * math.log(1 - prediction)
    assert swav_loss(scores, scores, temperature=0.25, epsilon=0.5).item() == pytest.approx(expected)


def test_a_collapsed_batch_gets_balanced_codes_and_a_high_loss():
    collapsed = torch.tensor([[1.0, -1.0]]).expand(6, 2)  # all in the first cluster
    torch.testing.assert_close(sinkhorn(collapsed), torch.full((6, 2), 0.5))
    # p = (1, e^-20): -(ln p1 + ln p2) / 2 = 10; a certain and balanced batch has a loss near 0
    assert swav_loss(collapsed, collapsed).item() == pytest.approx(10.0)
    balanced = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert swav_loss(balanced, balanced).item() < 1e-6


@given(st.permutations(range(5)), st.permutations(range(8)))
def test_names_of_prototypes_and_the_order_of_images_do_not_matter(names, order):
    scores, view_scores = cosines(8, 5), cosines(8, 5, seed=1)
    renamed = swav_loss(scores[order][:, names], view_scores[order][:, names])
    torch.testing.assert_close(renamed, swav_loss(scores, view_scores))
    torch.testing.assert_close(sinkhorn(scores[:, names]), sinkhorn(scores)[:, names])


def test_scores_far_beyond_floats_exponent_stay_finite():
    assert swav_loss(1e4 * cosines(6, 3), 1e4 * cosines(6, 3, seed=1)).isfinite()


def test_leading_dimensions_are_kept_apart():
    scores, view_scores = cosines(3, 2, 8, 4), cosines(3, 2, 8, 4, seed=1)
    one_by_one = [swav_loss(*pair) for pair in zip(scores.flatten(0, 1), view_scores.flatten(0, 1), strict=True)]
    torch.testing.assert_close(swav_loss(scores, view_scores), torch.stack(one_by_one).view(3, 2))
