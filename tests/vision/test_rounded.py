"""Networks in bfloat16: chains see weights that are rounded once, and finished networks compute in float32."""

import pytest
import torch

from gedi_nesy.core.energy import frozen
from gedi_nesy.core.sgld import SGLD
from gedi_nesy.vision.networks import new_networks
from gedi_nesy.vision.recipe import load_recipe
from gedi_nesy.vision.rounded import Rounded

SGLD_STEPS = SGLD(steps=3, step_size=1.0, noise=0.01)


def networks(**settings):
    recipe = load_recipe("paper-cifar10-gedi", {"network.encoder": "resnet8-8", "network.projector": [8, 4]} | settings)
    return new_networks(recipe, 1, (3, 16, 16), 10, 0)


def chains(model, x):
    return SGLD_STEPS(model, x, torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "encoder", ["resnet8-8", "resnet8-8-spectral", pytest.param("resnet18-groupnorm", marks=pytest.mark.slow)]
)
def test_chains_are_those_that_autocast_gives_at_every_step_of_training(encoder):
    model = networks(**{"speed.bf16": True, "network.encoder": encoder})
    rounded, x = Rounded(model), torch.rand(1, 4, 3, 16, 16)
    for _ in range(2):
        with frozen(model):
            expected = chains(model, x)
        assert torch.equal(chains(rounded(), x), expected)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.1)


def test_a_finished_network_computes_in_float32():
    x = torch.rand(1, 4, 3, 16, 16)
    half, plain = networks(**{"speed.bf16": True}), networks()
    assert not torch.equal(half(x), plain(x))
    assert torch.equal(half.eval()(x), plain.eval()(x))
