import math

import pytest
import torch
from lightly.loss import NTXentLoss

from gedi_nesy.core.losses import info_nce_loss


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_value_and_gradient_are_lightlys(temperature):
    first, second = normal(60, 32).requires_grad_(), normal(60, 32) + normal(60, 32, seed=1)
    ours, reference = info_nce_loss(first, second, temperature), NTXentLoss(temperature)(first, second)
    torch.testing.assert_close(ours, reference)
    torch.testing.assert_close(*(torch.autograd.grad(loss, first)[0] for loss in (ours, reference)))


def test_the_published_temperature_is_the_default():
    first, second = normal(8, 4), normal(8, 4, seed=1)
    torch.testing.assert_close(info_nce_loss(first, second), NTXentLoss()(first, second))


def test_two_images_by_hand():
    axes = torch.eye(2)
    # the partner has cosine 1, the two views of the other image 0
    assert info_nce_loss(axes, axes, 0.5).item() == pytest.approx(math.log(1 + 2 * math.exp(-2)))
    # the partner has cosine -1, the others 0
    assert info_nce_loss(axes, -axes, 0.5).item() == pytest.approx(math.log(1 + 2 * math.exp(2)))
    # of two images at opposite ends the others have cosine -1: the least that three others allow
    ends = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).double()
    assert info_nce_loss(ends, ends, 0.5).item() == pytest.approx(math.log(1 + 2 * math.exp(-2 / 0.5)))


def test_a_collapsed_representation_chooses_at_random():
    collapsed = torch.ones(7, 3)
    assert info_nce_loss(collapsed, collapsed, 0.1).item() == pytest.approx(math.log(2 * 7 - 1))


def test_one_image_has_nothing_to_be_told_from():
    assert info_nce_loss(normal(1, 3), normal(1, 3, seed=1)).item() == pytest.approx(0.0)
