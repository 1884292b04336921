"""Spectral norm of convolutions."""

import pytest
import torch

from gedi_nesy.networks.resnet import ResNet8
from gedi_nesy.networks.spectral import SpectralConv2d


@pytest.fixture
def conv():
    torch.manual_seed(0)
    layer = SpectralConv2d(3, 8, 3)
    with torch.no_grad():
        layer.weight.mul_(20)
    for _ in range(300):
        layer(torch.zeros(1, 3, 4, 4))
    return layer


def test_the_greatest_singular_value_becomes_1(conv):
    assert torch.linalg.matrix_norm(conv.normed().flatten(1), ord=2).item() == pytest.approx(1, abs=1e-3)


def test_its_gradient_is_that_of_dividing_by_the_value(conv):
    direction = torch.randn(conv.weight.shape, generator=torch.Generator().manual_seed(0))
    (conv.normed() * direction).sum().backward()
    weight = conv.weight.detach().clone().requires_grad_()
    (weight / torch.linalg.matrix_norm(weight.flatten(1), ord=2) * direction).sum().backward()
    torch.testing.assert_close(conv.weight.grad, weight.grad, rtol=1e-2, atol=1e-3)


def test_it_stays_as_it_is_but_where_the_kernel_learns(conv):
    with torch.no_grad():
        conv.weight.add_(torch.randn_like(conv.weight))
    before, x = conv.left.clone(), torch.zeros(1, 3, 4, 4)
    with torch.no_grad():
        conv(x)
    conv.eval()(x)
    conv.train().requires_grad_(False)(x)
    assert torch.equal(conv.left, before)
    conv.requires_grad_(True)(x)
    assert not torch.equal(conv.left, before)


def test_a_resnet_has_it_in_all_convolutions():
    net = ResNet8(8, spectral=True)
    kinds = {type(layer) for layer in net.modules() if isinstance(layer, torch.nn.Conv2d)}
    assert kinds == {SpectralConv2d}
    assert net(torch.zeros(2, 3, 16, 16)).shape == (2, 8)
