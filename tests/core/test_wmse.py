import math

import pytest
import torch
from lightly.loss import WMSELoss

from gedi_nesy.core.losses import whiten, wmse_loss
from gedi_nesy.errors import UserError


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_value_and_gradient_are_lightlys():
    first, second = normal(64, 16).requires_grad_(), normal(64, 16) + normal(64, 16, seed=1)
    reference = WMSELoss(embedding_dim=16, w_size=64, track_running_stats=False)(torch.cat([first, second]))
    ours = wmse_loss(first, second)
    torch.testing.assert_close(ours, reference)
    torch.testing.assert_close(*(torch.autograd.grad(loss, first)[0] for loss in (ours, reference)))


def test_whitened_embeddings_have_mean_0_and_covariance_i():
    mixed = normal(50, 4) @ normal(4, 4, seed=1) + 3
    torch.testing.assert_close(whiten(mixed).mean(0), torch.zeros(4).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.cov(whiten(mixed).T), torch.eye(4).double(), atol=1e-6, rtol=0)


def test_by_hand():
    a, b = [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]  # white but for their length
    axes = torch.tensor([a, b]).T
    turned = torch.tensor([a, [-value for value in b]]).T
    assert wmse_loss(axes, axes).item() == pytest.approx(0.0, abs=1e-6)
    assert wmse_loss(axes, turned).item() == pytest.approx(2.0)  # at right angles in each image
    assert wmse_loss(axes, -axes).item() == pytest.approx(4.0)
    angle = 0.7
    rotation = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    assert wmse_loss(axes, axes @ rotation).item() == pytest.approx(2 - 2 * math.cos(angle), rel=1e-5)


def test_triangular_affine_maps_of_either_view_do_not_matter():
    first, second = normal(30, 3).double(), normal(30, 3).double() + normal(30, 3, seed=1)
    lower = torch.tensor([[2.0, 0.0, 0.0], [-1.0, 0.5, 0.0], [3.0, 1.0, 1.5]]).double()
    changed = wmse_loss(first @ lower.T + 4, second)
    torch.testing.assert_close(changed, wmse_loss(first, second), atol=1e-6, rtol=1e-6)


def test_a_collapsed_representation_points_nowhere():
    collapsed = torch.full((5, 3), 0.1)
    assert wmse_loss(collapsed, collapsed).item() == pytest.approx(2.0)


def test_too_few_images_are_refused():
    with pytest.raises(UserError, match="whitens 4 dimensions, which needs a batch of more images than 4"):
        wmse_loss(normal(4, 4), normal(4, 4))
