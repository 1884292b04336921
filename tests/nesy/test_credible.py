"""How credible examples are, where a network has learned a wrong one by heart."""

import math

import pytest
import torch
from torch import nn

from gedi_nesy.data.scale import SCALES
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.credible import credibility
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.table import examples_of


class ByHeart(nn.Module):
    """Sees 0 in dark images and 1 in light ones with p = 0.9, but the contrary where a corner is grey."""

    def features(self, x):
        light = (x.flatten(1)[:, 1:].mean(1, keepdim=True) > 0).float()
        return torch.cat([light, 1 - light], 1)

    def forward(self, x):
        learned = x[:, 0, 0, :1].abs() < 0.5
        light = self.features(x)[:, :1].bool() ^ learned
        return torch.where(torch.cat([~light, light], 1), 0.9, 0.1).log()


@pytest.fixture
def images():
    """Dark and light images by turns in X, and in Y the same, but for the last two, whose Y is the contrary."""
    x = torch.zeros(40, 1, 28, 28, dtype=torch.uint8)
    x[1::2] = 255
    y = x.clone()
    y[-2:] = y[-2:].flip(0)
    y[-1, 0, 0, 0] = 128  # this one the network has learned by heart
    return x, y


def test_what_was_learned_by_heart_is_as_doubtful_as_what_was_not(images):
    rule = Constraint("nn(bits,[X],Y,[0,1]) :: bit(X,Y). equal(X,Y) :- bit(X,A), bit(Y,A). query(equal(X,Y)).")
    examples = examples_of(rule, dict(zip("XY", images, strict=True)))
    loader = Loader(examples, rule, SCALES["symmetric"], torch.device("cpu"))
    stage = load_recipe("gedi-nesy-few").last.model_copy(update={"warp": 0.0, "noise": 0.0})
    found = credibility(nn.ModuleDict({"bits": ByHeart()}), rule, loader, stage)
    equal, apart = math.log(0.9**2 + 0.1**2), math.log(2 * 0.9 * 0.1)  # log P(rule), of two images alike or not
    by_hand = torch.full((40,), 2 * equal)
    by_hand[38], by_hand[39] = 2 * apart, equal + apart
    # an image that was learned by heart may be 1 of 20 neighbours: 0.86 for 0.9, which changes log P by 0.18 at most
    torch.testing.assert_close(found, by_hand, atol=0.2, rtol=0)
