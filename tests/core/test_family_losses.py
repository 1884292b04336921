"""What every L_DISC of the family must do, whatever it measures; each loss's own tests are in its own file."""

import pytest
import torch

from gedi_nesy.core.losses import protocpc_loss, swav_loss
from gedi_nesy.core.terms import TERMS, optima

FAMILY = {name: term for name, term in TERMS.items() if term.loss}
LOSSES = {name: term.loss for name, term in FAMILY.items()}
STOPPED = {swav_loss, protocpc_loss}  # no gradient flows into their codes


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(*shape):
    """Two views, cosines where they are read as such."""
    first = normal(*shape)
    return first.tanh(), (first + 0.5 * normal(*shape, seed=1)).tanh()


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_images_and_of_views_does_not_matter(name):
    first, second = pair(8, 3)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    value = LOSSES[name](first, second)
    torch.testing.assert_close(LOSSES[name](first[order], second[order]), value)
    torch.testing.assert_close(LOSSES[name](second, first), value)


@pytest.mark.parametrize("name", LOSSES)
def test_which_view_belongs_to_which_image_does(name):
    first, second = pair(16, 3)
    assert LOSSES[name](first, second.roll(1, 0)) > LOSSES[name](first, second) + 0.1


@pytest.mark.parametrize("name", LOSSES)
def test_leading_dimensions_are_kept_apart(name):
    first, second = pair(3, 2, 8, 4)
    one_by_one = [LOSSES[name](*each) for each in zip(first.flatten(0, 1), second.flatten(0, 1), strict=True)]
    torch.testing.assert_close(LOSSES[name](first, second), torch.stack(one_by_one).view(3, 2))


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss not in STOPPED])
def test_gradients_are_those_of_finite_differences(name):
    first, second = (views.requires_grad_() for views in pair(5, 3))
    assert torch.autograd.gradcheck(LOSSES[name], (first, second))


@pytest.mark.parametrize("name", LOSSES)
def test_single_precision_is_kept_and_is_precise(name):
    first, second = pair(60, 16)
    value = LOSSES[name](first.float(), second.float())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), LOSSES[name](first, second), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_a_collapsed_representation_costs_more_and_has_a_finite_gradient(name):
    first, _ = pair(12, 3)
    collapsed = torch.full((12, 3), 0.1, requires_grad=True)
    loss = LOSSES[name](collapsed, collapsed)
    loss.backward()
    assert collapsed.grad.isfinite().all()
    assert loss > LOSSES[name](first, first) + 0.1


# Two views that are equal, and certain of balanced clusters or spread evenly over both directions of either axis.
EVEN = 2 * torch.cat([torch.eye(4), -torch.eye(4)]).double()


@pytest.mark.parametrize("name", optima(FAMILY, {}, 4))
def test_the_optimum_is_reached_and_not_passed(name):
    member = FAMILY[name]
    best = 2 * EVEN[:4] - 1 if "prototypes" in member.needs else EVEN
    optimum = optima([name], {}, 4)[name]
    assert member.loss(best, best).item() == pytest.approx(optimum, abs=1e-4)
    for seed in range(50):
        first = normal(8, 4, seed=seed).tanh()
        for second in (first, normal(8, 4, seed=seed + 50).tanh()):
            assert member.loss(first, second) >= optimum - 1e-9


@pytest.mark.parametrize("name", [name for name, term in FAMILY.items() if "prototypes" in term.needs])
def test_the_names_of_prototypes_do_not_matter(name):
    first, second = pair(8, 5)
    names = torch.randperm(5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(LOSSES[name](first[:, names], second[:, names]), LOSSES[name](first, second))


@pytest.mark.parametrize("name", ["infonce", "ebclr", "corinfomax", "mec"])
def test_a_rotation_of_all_embeddings_does_not_matter(name):
    first, second = pair(8, 3)
    rotation, _ = torch.linalg.qr(normal(3, 3, seed=2))
    torch.testing.assert_close(LOSSES[name](first @ rotation, second @ rotation), LOSSES[name](first, second))


@pytest.mark.parametrize("name", ["infonce", "corinfomax", "mec"])
def test_the_length_of_an_embedding_does_not_matter(name):
    first, second = pair(8, 3)
    lengths = normal(8, 1, seed=2).exp()
    torch.testing.assert_close(LOSSES[name](lengths * first, second / lengths), LOSSES[name](first, second))


@pytest.mark.parametrize("name", ["ebclr", "vicreg", "barlow", "wmse"])
def test_a_shift_of_all_embeddings_does_not_matter(name):
    first, second = pair(8, 3)
    torch.testing.assert_close(LOSSES[name](first + 5, second + 5), LOSSES[name](first, second))
