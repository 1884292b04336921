import math

import torch

from gedi_nesy.core.losses import invariance_loss
from gedi_nesy.core.losses.views import views_loss


def test_by_hand():
    # two views of one image that are certain of different classes: the mean is (1/2, 1/2), each pays half of -log q
    q = 0.1
    log_probs = torch.tensor([[[1 - q, q]], [[q, 1 - q]]]).log()
    torch.testing.assert_close(views_loss(log_probs), torch.tensor(-(math.log(q) + math.log(1 - q)) / 2))


def test_equal_views_are_an_image_and_its_view():
    log_probs = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    torch.testing.assert_close(views_loss(log_probs.expand(3, 6, 5)), invariance_loss(log_probs, log_probs))


def test_certain_and_equal_predictions_are_the_optimum():
    certain = torch.eye(3).clamp_min(1e-9).log().expand(4, 3, 3)
    assert views_loss(certain) < 1e-6
    assert views_loss(torch.stack([certain[0], certain[0].roll(1, 0)])) > 1


def test_networks_side_by_side_are_kept_apart():
    log_probs = torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    torch.testing.assert_close(views_loss(log_probs), torch.stack([views_loss(one) for one in log_probs]))
