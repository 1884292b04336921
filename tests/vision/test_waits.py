"""A step of training launches its work and looks at no value of it, so that a GPU never waits for Python."""

import pytest
import torch

from gedi_nesy.core.checks import Checks
from gedi_nesy.methods import FAMILY
from gedi_nesy.runs.phases import Callback, train_phases
from gedi_nesy.runs.rollback import Rollback
from gedi_nesy.views.pictures import adjust_hue
from gedi_nesy.vision.learner import Learner
from gedi_nesy.vision.recipe import load_recipe
from tests.waits import Waits

SMALL = {
    "network.encoder": "resnet8-4",
    "network.projector": [8, 4],
    "train.batch": 8,
    "sampler.chains": 8,
    "sampler.buffer": 16,
    "sampler.steps": 2,
}
ALONE = ("train.weights.gen", "train.weights.inv", "train.weights.prior")
OURS = {"restarts": 2, "train.steps": 2, "refine.steps": 2, "pretrain.steps": 2, "sampler.buffer": 400}


class Begun(Exception):
    pass


class Stop(Callback):
    """Ends the training where a stage begins, and keeps its state."""

    def __init__(self, stage):
        self.stage = stage

    def on_start(self, state):
        if state.phase.name == self.stage:
            self.state = state
            raise Begun


def begun(recipe, data, stage):
    """Where a learner stands when a stage begins."""
    stop = Stop(stage)
    with pytest.raises(Begun):
        train_phases(Learner(recipe, [data], 3), Rollback(recipe.guard), [stop])
    return stop.state


def step_of(stand):
    """What is found in the second step; the first one may make what all others use."""
    stand.training.checks = Checks(late=True)
    for waits in (Waits(), Waits()):
        with waits:
            losses = stand.losses(stand.training.step)
            stand.losses.objective(losses, 0.5).backward()
            stand.training.optimizer.step()
    assert losses
    return waits.found


def images():
    return torch.randint(256, (20, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "settings",
    [
        {"train.weights.energy_l2": 0.1},
        {"augment.anchor": "view", "speed.bf16": True},
        {"train.weights.swav": 1.0, "train.weights.gen": 0.0},
        {"network.head": "linear", "train.weights.barlow": 1.0} | dict.fromkeys(ALONE, 0.0),
    ],
)
def test_on_images(settings):
    recipe = load_recipe("paper-cifar10-gedi", SMALL | settings)
    assert step_of(begun(recipe, images(), "train")) == []


@pytest.mark.parametrize("stage", ["pretrain", "train", "refine"])
def test_on_points(stage):
    points = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    assert step_of(begun(load_recipe("gedi", OURS), points, stage)) == []


@pytest.mark.parametrize("name", FAMILY)
def test_in_the_family(name):
    points = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    recipe = load_recipe(name, OURS)
    assert step_of(begun(recipe, points, next(iter(recipe.stages)))) == []


@pytest.mark.parametrize(
    ("look", "name"),
    [
        (lambda x: x.sum().item(), "aten._local_scalar_dense"),
        (lambda x: bool(x.isfinite().all()), "aten._local_scalar_dense"),
        (lambda x: x.sum().tolist(), "tolist"),
        (lambda x: x[x > 0], "aten.index"),
        (lambda x: x + torch.tensor([1.0]), "aten.lift_fresh"),
        (lambda x: torch.linalg.cholesky(x.diag()), "aten._linalg_check_errors"),
    ],
)
def test_looks_are_noticed(look, name):
    with Waits() as waits:
        look(torch.ones(3))
    assert name in waits.found


def test_a_views_constants_are_made_once():
    x, turns = torch.rand(2, 3, 4, 4), torch.zeros(2)
    adjust_hue(x, turns)
    with Waits() as waits:
        adjust_hue(x, turns)
    assert waits.found == []
