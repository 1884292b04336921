"""Our recipe for pictures, every stage at toy size on real pictures where there are any."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from gedi_nesy.runs.callbacks import Interrupted
from gedi_nesy.runs.phases import Callback, train_phases
from gedi_nesy.runs.rollback import Rollback
from gedi_nesy.vision import restarts
from gedi_nesy.vision.learner import Learner
from gedi_nesy.vision.recipe import load_recipe
from gedi_nesy.vision.train import resume, train
from tests.vision.pictures import STAGES, TINY, small_images
from tests.vision.test_images import assert_same_weights, stop_at
from tests.vision.test_waits import begun, step_of

BUDGETS = ("gedi-pictures", "gedi-pictures-1-hour", "gedi-pictures-3-hours")


@pytest.fixture(autouse=True)
def few_steps_of_restarts(monkeypatch):
    monkeypatch.setattr(restarts, "STEPS", 30)
    monkeypatch.setattr(restarts, "BATCH", 60)


class Rows(Callback):
    """The losses of every step, by stage."""

    def __init__(self):
        self.found = {}

    def on_start(self, state):
        self.rows = self.found.setdefault(state.phase.name, [])

    def __call__(self, training, losses, total):
        self.rows.append({name: loss.item() for name, loss in losses.items()})


def test_the_losses_of_every_stage_fall(cifar):
    longer = {"features.steps": 40, "train.steps": 60, "refine.steps": 120, "student.steps": 40}
    longer |= {"train.learning_rate": 1e-2, "refine.learning_rate": 1e-2, "student.learning_rate": 3e-3}
    recipe = load_recipe("gedi-pictures", TINY | longer)
    rows, learner = Rows(), Learner(recipe, [small_images(cifar)], 10)
    networks, (choice,) = learner.result(train_phases(learner, Rollback(recipe.guard), [rows]))
    assert list(rows.found) == list(STAGES)
    falling = {"features": ("inv", "prior"), "train": ("inv", "prior"), "refine": ("inv",)}
    falling["student"] = ("teacher", "prior", "energy_l2")
    for stage, names in falling.items():
        for name in names:
            values = [row[name] for row in rows.found[stage]]
            assert np.mean(values[-8:]) < np.mean(values[:8]), (stage, name)
    assert rows.found["features"][-1]["prior"] < -0.8 * math.log(64)  # many atoms are in use
    assert max(row["certain"] for row in rows.found["refine"]) > 0  # there were labels
    assert choice.certificates[choice.best] == min(choice.certificates)
    assert len(choice.certificates) == 3
    features = networks.encode(learner.inputs.points(torch.arange(50)[None]))
    assert features.shape == (1, 50, 8)
    assert features.std(1).max() > 0


def test_views_walk_where_clusters_are_learned_and_stay_where_labels_are(cifar):
    few = {f"{name}.steps": 2 for name in STAGES}
    learner = Learner(load_recipe("gedi-pictures", TINY | few), [small_images(cifar)], 10)
    walking = {}

    class Walking(Callback):
        def on_start(self, state):
            walking[state.phase.name] = state.losses.inputs.walks is not None

    train_phases(learner, Rollback(learner.recipe.guard), [Walking()])
    assert walking == {"features": False, "train": True, "refine": False, "student": True}


@pytest.mark.parametrize("stage", STAGES)
def test_a_step_looks_at_no_value(stage, cifar):
    few = {f"{name}.steps": 2 for name in STAGES}
    assert step_of(begun(load_recipe("gedi-pictures", TINY | few), small_images(cifar), stage)) == []


@pytest.mark.usefixtures("no_pictures")
def test_a_run_that_is_stopped_in_every_stage_ends_with_the_same_weights(cifar, tmp_path, monkeypatch):
    given = TINY | {"features.steps": 9, "train.steps": 7, "refine.steps": 5, "student.steps": 4, "examples": 100}
    given["sampler.reinit"] = 0.5  # chains that judge the energies live as long as those in training
    monkeypatch.setattr(restarts, "STEPS", 5)
    go = partial(train, "gedi-pictures", data_dir=cifar, **given)
    whole = go(out=tmp_path / "whole")
    begin, go_on = partial(go, out=tmp_path / "run"), partial(resume, tmp_path / "run", data_dir=cifar)
    for step, start in ((8, begin), (6, go_on)):  # in the first stage, and in the second
        with monkeypatch.context() as patch:
            stop_at(step, patch)
            with pytest.raises(Interrupted):
                start()
    for _ in ("refine", "student"):
        with monkeypatch.context() as patch:
            stop_at(3, patch)
            with pytest.raises(Interrupted):
                go_on()
    (run,) = go_on()
    assert_same_weights(tmp_path / "whole", tmp_path / "run")
    assert run.summary["restarts"]["D"] == whole.summary["restarts"]["D"]


@pytest.mark.parametrize("name", BUDGETS)
def test_every_budget_is_for_a_gpu_and_says_what_it_has(name):
    recipe = load_recipe(name)
    assert recipe.recipe == name
    assert recipe.device == "cuda"
    assert recipe.seconds < 3 * 3600
    assert list(recipe.stages) == list(STAGES)
    assert recipe.sampler.reinit == 0.001
    assert recipe.refine.labels_itself
