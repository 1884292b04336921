"""Features by L_INV and L_PRIOR on a fixed dictionary, at toy size on real pictures where there are any."""

import math

import pytest
import torch

from gedi_nesy.core.checks import Checks
from gedi_nesy.errors import UserError
from gedi_nesy.networks.dictionary import Dictionary
from gedi_nesy.vision.image_network import ImageNetworks
from gedi_nesy.vision.learner import Learner
from gedi_nesy.vision.recipe import Speed, load_recipe
from gedi_nesy.vision.scale import find_scale
from gedi_nesy.vision.views import ImageInputs
from tests.vision.pictures import TINY, small_images
from tests.waits import Waits


def begun(cifar, **overrides):
    """The losses of the first stage, before its first step."""
    learner = Learner(load_recipe("gedi-pictures", TINY | overrides), [small_images(cifar)], 10)
    training = learner.begin(learner.phases[0], None)
    return learner.losses(learner.phases[0], training)


def test_a_step_has_views_of_its_images_and_its_losses_their_optima(cifar):
    losses = begun(cifar, **{"features.atoms": 64})
    views = losses.inputs.several(1, 4, 3, torch.Generator().manual_seed(0))
    assert views.shape == (1, 3, 4, 3, 16, 16)
    assert -1.2 <= views.min() < -0.2 < 0.2 < views.max() <= 1.2
    of_each = views[0].flatten(2).transpose(0, 1)  # [images, views, pixels]
    assert (torch.cdist(of_each, of_each).sum((1, 2)) > 0).all()
    assert losses.objective.optima == {"inv": 0.0, "prior": -math.log(64)}
    assert losses(0).keys() == {"inv", "prior"}


def test_a_step_looks_at_no_value(cifar):
    losses = begun(cifar)
    training = losses.training
    training.checks = Checks(late=True)
    losses(0)
    with Waits() as waits:
        losses.objective(losses(1), 0.5).backward()
        training.optimizer.step()
    assert waits.found == []


def test_the_head_is_fixed_and_the_last_norm_has_no_shift(cifar):
    recipe = load_recipe("gedi-pictures", TINY)
    networks = ImageNetworks(2, recipe.network_of(recipe.features), Speed(), 3, 10, seed=0)
    heads = [one.head for one in networks.members]
    assert all(isinstance(head, Dictionary) for head in heads)
    assert torch.equal(heads[0].atoms, heads[1].atoms)
    assert "head.atoms" not in dict(networks.members[0].named_parameters())
    assert networks.members[0].projector[-1].weight is None
    assert networks(torch.zeros(2, 5, 3, 16, 16)).shape == (2, 5, TINY["features.atoms"])


def test_only_the_encoder_computes_in_bfloat16_and_only_in_training():
    recipe, x = load_recipe("gedi-pictures", TINY), torch.rand(1, 2, 3, 16, 16)
    network = recipe.network_of(recipe.features)
    half, plain = (ImageNetworks(1, network, Speed(bf16=bf16), 3, 10, seed=0) for bf16 in (True, False))
    assert half(x).dtype == torch.float32
    assert not torch.equal(half(x), plain(x))
    plain.load_state_dict(half.state_dict())
    assert torch.equal(half.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("kind", ["symmetric", "standard"])
def test_chains_are_changed_as_images_are_and_their_scale_stays(kind, cifar):
    x, recipe = small_images(cifar), load_recipe("gedi-pictures", TINY)
    inputs = ImageInputs(x[None], [find_scale(x, kind)], recipe.augment, 0.0)
    samples = inputs.points(torch.arange(40)[None])
    half = inputs.renewed(samples, 0.5, torch.Generator().manual_seed(0))
    same = (half == samples).flatten(2).all(2)[0]
    assert 8 < same.sum() < 32
    black, white = inputs.box(margin=0.0)
    assert black - 1e-5 <= half.min() < half.max() <= white + 1e-5
    assert torch.equal(inputs.renewed(samples, 0.0, torch.Generator()), samples)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features.weights.infonce": 1.0}, r"\[features\] has weights of inv and prior alone, none of infonce"),
        ({"sampler.clamp": False}, "sampler.as_bytes needs sampler.clamp = true"),
        ({"view.walk": 0}, r"\[features\] takes the place of \[pretrain\] where images walk"),
        ({"features": None}, "by the features of a stage before"),
        ({"student.network.encoder": "resnet18"}, "without batch norm"),
    ],
)
def test_what_has_no_meaning_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        load_recipe("gedi-pictures", TINY | settings)
