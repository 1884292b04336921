import math

import pytest
import torch

from gedi_nesy.core.losses import protocpc_loss


def cosines(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def one_way(scores, teacher_scores):
    """Lee's formula for one direction, image by image, with m_k the share of code k in the batch times c."""
    codes = (teacher_scores / 0.04).softmax(-1)
    shares = codes.sum(0) / codes.sum() * scores.shape[1]
    total = 0.0
    for student, code in zip(scores / 0.1, codes, strict=True):
        total += (shares * student.exp()).sum().log() - (code * student).sum()
    return total / len(scores)


def test_value_against_a_loop_over_the_authors_formula():
    scores, view_scores = cosines(12, 5), cosines(12, 5, seed=1)
    expected = (one_way(scores, view_scores) + one_way(view_scores, scores)) / 2
    torch.testing.assert_close(protocpc_loss(scores, view_scores), expected)


def test_two_images_by_hand():
    scores = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # temperatures 1 / 2 and 1 / 3: codes q = (1, e^-3) / (1 + e^-3), mean code 1/2 each, s = (2, 0)
    code = 1 / (1 + math.exp(-3))
    expected = -2 * code + math.log((math.exp(2) + 1) / 2) + math.log(2)
    assert protocpc_loss(scores, scores, 1 / 2, 1 / 3).item() == pytest.approx(expected)


@pytest.mark.parametrize("collapsed", [[1.0, -1.0, -1.0], [0.0, 0.0, 0.0]])
def test_a_constant_representation_costs_the_log_of_the_prototypes(collapsed):
    scores = torch.tensor([collapsed]).expand(6, 3)
    assert protocpc_loss(scores, scores).item() == pytest.approx(math.log(3), abs=1e-5)


def test_imbalance_costs_what_the_codes_lack_in_information():
    scores = 2 * torch.eye(2)[[0, 0, 0, 1]] - 1  # certain, three of four in the first cluster
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    # s = (10, -10) where right: log(m e^10 + ...) - 10 = log m for each image's own cluster
    assert protocpc_loss(scores, scores).item() == pytest.approx(math.log(2) - entropy, abs=1e-6)


def test_the_gradient_stops_at_the_codes():
    """Half the mean of (softmax(s + log m) - q) / temperature, q and m being constants."""
    scores, view_scores = cosines(6, 3).requires_grad_(), cosines(6, 3, seed=1).requires_grad_()
    gradients = torch.autograd.grad(protocpc_loss(scores, view_scores), (scores, view_scores))
    for gradient, student, teacher in zip(gradients, (scores, view_scores), (view_scores, scores), strict=True):
        codes = (teacher / 0.04).softmax(-1)
        expected = ((student / 0.1 + codes.mean(0).log()).softmax(-1) - codes) / 0.1 / 6 / 2
        torch.testing.assert_close(gradient, expected.detach())


def test_scores_far_beyond_floats_exponent_stay_finite():
    assert protocpc_loss(1e4 * cosines(6, 3).float(), 1e4 * cosines(6, 3, seed=1).float()).isfinite()
