"""Energies and their input gradients, by hand and against autograd."""

import math

import pytest
import torch
from torch import nn

from gedi_nesy.core.energy import energy, frozen, log_density_gradient, ood_score


def linear(weight):
    """Logits W x without bias."""
    weight = torch.tensor(weight)
    net = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    net.weight.data = weight
    return net


def test_energy_by_hand():
    logits = torch.tensor([[0.0, math.log(3)], [5.0, -math.inf]])
    assert energy(logits).tolist() == pytest.approx([-math.log(1 + 3), -5.0])


def test_energy_of_large_logits_is_finite():
    assert energy(torch.tensor([1e5, -1e5])).item() == -1e5


def test_gradient_by_hand():
    # f(x) = (2x, -x): at x = 0 both are equally likely, d log p/dx = .5 * 2 + .5 * -1.
    net = linear([[2.0], [-1.0]])
    assert log_density_gradient(net, torch.zeros(1, 1)).item() == pytest.approx(0.5 * 2 + 0.5 * -1)


def test_gradient_is_that_of_minus_the_energy():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(-energy(net(x)).sum(), x)
    torch.testing.assert_close(log_density_gradient(net, x), expected)


def test_gradient_touches_no_grad_field_and_works_without_grad_mode():
    net = linear([[2.0], [-1.0]])
    x = torch.zeros(1, 1, requires_grad=True)
    with torch.no_grad():
        gradient = log_density_gradient(net, x)
    assert not gradient.requires_grad
    assert x.grad is None
    assert net.weight.grad is None


def test_ood_score_is_minus_the_norm_of_the_gradient():
    net = linear([[3.0, -4.0]])  # one class: log p = 3 a - 4 b + constant, everywhere as steep
    assert ood_score(net, torch.randn(2, 2)).tolist() == pytest.approx([-5.0, -5.0])


def test_frozen_restores_what_it_found_even_after_an_error():
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)

    def fail_in_the_frozen_net():
        with frozen(net):
            assert not net.weight.requires_grad
            raise KeyError

    with pytest.raises(KeyError):
        fail_in_the_frozen_net()
    assert net.weight.requires_grad
    assert not net.bias.requires_grad
