import math

import pytest
import torch

from gedi_nesy.core.losses import (
    energy_l2_loss,
    generative_loss,
    invariance_loss,
    negative_entropy_loss,
    prior_divergence,
    prior_loss,
)

UNIFORM = torch.full((2,), math.log(0.5))
BALANCED = torch.tensor([[0.0, -1e9], [-1e9, 0.0]])  # one image in each cluster
COLLAPSED = torch.tensor([[0.0, -30.0], [0.0, -30.0]])  # both in the first


def test_collapse_is_penalised_and_balance_is_not():
    assert prior_loss(BALANCED, UNIFORM).item() == pytest.approx(math.log(2))
    assert prior_loss(COLLAPSED, UNIFORM).item() == pytest.approx(0.5 * 0 + 0.5 * 30)


def test_the_entropy_form_has_the_same_optimum_and_a_bounded_penalty():
    assert negative_entropy_loss(BALANCED).item() == pytest.approx(-math.log(2))
    assert negative_entropy_loss(COLLAPSED).item() == pytest.approx(0.0, abs=1e-9)


def test_divergence_from_a_given_prior():
    prior = torch.tensor([0.75, 0.25])
    mean = torch.tensor([[0.5, 0.5]]).log()
    expected = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert prior_divergence(mean, prior.log()).item() == pytest.approx(expected)
    matched = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).clamp_min(1e-30).log()
    assert prior_divergence(matched, prior.log()).item() == pytest.approx(0.0, abs=1e-6)


def test_invariance_is_the_cross_entropy_of_the_two_predictions():
    view, clean = torch.tensor([[0.8, 0.2]]).log(), torch.tensor([[0.6, 0.4]]).log()
    assert invariance_loss(view, clean).item() == pytest.approx(-0.8 * math.log(0.6) - 0.2 * math.log(0.4))


def test_invariance_passes_its_gradient_through_both_sides():
    view = torch.randn(4, 3, requires_grad=True)
    clean = torch.randn(4, 3, requires_grad=True)
    invariance_loss(view.log_softmax(-1), clean.log_softmax(-1)).backward()
    assert view.grad.abs().sum() > 0
    assert clean.grad.abs().sum() > 0


def test_losses_keep_leading_dimensions_apart():
    log_probs = torch.randn(3, 5, 4).log_softmax(-1)
    prior = torch.full((4,), math.log(0.25))
    for loss in (negative_entropy_loss, lambda x: prior_loss(x, prior), lambda x: invariance_loss(x, x.flip(-1))):
        torch.testing.assert_close(loss(log_probs), torch.stack([loss(part) for part in log_probs]))


def test_the_penalty_is_the_sum_of_the_mean_squared_energies():
    # energies -ln 2 (two logits 0) and -(3 + ln 2)
    data, samples = torch.zeros(1, 2), torch.tensor([[0.0, 0.0], [3.0, 3.0]])
    expected = math.log(2) ** 2 + (math.log(2) ** 2 + (3 + math.log(2)) ** 2) / 2
    assert energy_l2_loss(data, samples).item() == pytest.approx(expected)


def test_generative_loss_has_the_gradient_of_the_negative_log_likelihood():
    # Three points with model probabilities 1/2, 1/4, 1/4: the multiset 0, 0, 1, 2 is an exact sample of the model.
    logits = torch.tensor([[0.0, 0.0], [-math.log(2), -math.log(2)], [-math.log(2), -math.log(2)]], requires_grad=True)
    data, model = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1, 2])
    (contrastive,) = torch.autograd.grad(generative_loss(logits[data], logits[model]), logits)
    log_density = logits.logsumexp(-1).log_softmax(0)
    (exact,) = torch.autograd.grad(-log_density[data].mean(), logits)
    torch.testing.assert_close(contrastive, exact)
