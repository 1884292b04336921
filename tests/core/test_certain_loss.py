"""Self-labelling by certain predictions."""

import math

import pytest
import torch

from gedi_nesy.core.losses import certain_loss

LOGITS = torch.tensor([[9.0, 0.0, 0.0], [8.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 1.0, 2.0]])  # the last is not certain
VIEWS = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.1, 0.8, 0.1], [0.9, 0.05, 0.05]])


def test_labels_count_alike_however_many_images_have_them():
    expected = -(0.5 * (math.log(0.5) + math.log(0.25)) + math.log(0.8)) / 2
    assert certain_loss(LOGITS.log_softmax(-1), VIEWS.log()).item() == pytest.approx(expected)


def test_networks_side_by_side_have_a_loss_each():
    both = certain_loss(LOGITS.log_softmax(-1).expand(2, -1, -1), torch.stack([VIEWS, VIEWS.roll(1, 1)]).log())
    assert both.shape == (2,)
    assert both[0] == certain_loss(LOGITS.log_softmax(-1), VIEWS.log())
    assert both[1] > both[0]


def test_labels_get_no_gradient_and_uncertain_images_teach_nothing():
    logits, views = LOGITS.clone().requires_grad_(), VIEWS.log().requires_grad_()
    certain_loss(logits.log_softmax(-1), views).backward()
    assert logits.grad is None
    assert views.grad[3].abs().sum() == 0
    assert (views.grad[:3].abs().sum(1) > 0).all()


def test_without_a_certain_prediction_it_is_0():
    assert certain_loss(torch.zeros(4, 3).log_softmax(-1), VIEWS.log()) == 0
