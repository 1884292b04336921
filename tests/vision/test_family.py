"""Section 2's family on points and images, alone and with L_GEN: short runs, and what they need."""

import math

import pytest
import torch

from gedi_nesy.core.energy import energy
from gedi_nesy.core.losses import anchor_logits
from gedi_nesy.core.terms import TERMS
from gedi_nesy.data.points import load_points
from gedi_nesy.errors import UserError
from gedi_nesy.methods import FAMILY
from gedi_nesy.report.html import report_html
from gedi_nesy.runs.phases import Callback, train_phases
from gedi_nesy.runs.rollback import Rollback
from gedi_nesy.vision.learner import Learner
from gedi_nesy.vision.network import Networks
from gedi_nesy.vision.recipe import load_recipe, recipe_for
from gedi_nesy.vision.run import load_run
from gedi_nesy.vision.train import resume, train

FEW = {"examples": 60, "restarts": 2, "log_every": 1, "checkpoint_seconds": 0.0, "view.walk": 4}
FEW |= {f"{stage}.steps": 3 for stage in ("pretrain", "train", "refine")}
FEW |= {"sampler.chains": 20, "sampler.buffer": 50}
TINY = {"train.steps": 3, "train.batch": 40, "network.encoder": "resnet8-8"}
TINY |= {"sampler.steps": 1, "sampler.chains": 4, "sampler.buffer": 20}
LAST = {"refine.steps": 2, "refine.batch": 40}


class Killed(BaseException):
    """Stands in for a kill."""


def kill_in_the_last_stage(row):
    if (row["stage"], row.get("step")) == ("refine", 2):
        raise Killed


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", FAMILY)
def test_a_killed_run_with_l_gen_is_resumed_and_its_report_names_its_terms(name, tmp_path):
    recipe = recipe_for(f"{name}+gen")
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "run", progress=kill_in_the_last_stage, **FEW)
    (run,) = resume(tmp_path / "run")
    rows = run.folder.read_metrics()
    assert [(row["stage"], row["step"]) for row in rows][-3:] == [("refine", step) for step in (1, 2, 3)]
    assert set(rows[-1]["loss"]) == {name, "gen"}
    assert all(map(math.isfinite, rows[-1]["loss"].values()))
    assert run.summary["method"] == f"{name}+gen"
    report_html(tmp_path / "report.html", run.summary, run.recipe.to_toml(), [])
    assert f"{name}+gen" in (tmp_path / "report.html").read_text()
    loaded, x = load_run(run.folder.path), torch.randn(9, 2)
    assert torch.equal(loaded.energy(x), run.energy(x))


def learn(recipe, data, clusters):
    """The networks, and the losses of every step."""
    learner, rows = Learner(recipe, [data], clusters), []

    class Rows(Callback):
        def __call__(self, training, losses, total):
            rows.append({name: loss.sum().item() for name, loss in losses.items()})

    networks, _ = learner.result(train_phases(learner, Rollback(recipe.guard), [Rows()]))
    return networks, rows


@pytest.mark.parametrize("name", FAMILY)
def test_every_member_trains_alone(name):
    networks, rows = learn(load_recipe(recipe_for(name), FEW), torch.randn(60, 2), 2)
    assert set(rows[-1]) == {name}
    assert math.isfinite(rows[-1][name])
    assert networks.has_prototypes == ("prototypes" in TERMS[name].needs)


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("suffix", ["", "+gen"])
def test_every_member_trains_on_images(name, suffix, cifar):
    recipe = load_recipe(recipe_for(name + suffix, dataset="cifar10"), TINY | (LAST if suffix else {}))
    data = load_points("cifar10", 60, 0, 0.0, data_dir=cifar)
    _, rows = learn(recipe, data.x_train, 10)
    assert set(rows[-1]) == ({name, "gen"} if suffix else {name})
    assert all(math.isfinite(loss) for row in rows for loss in row.values())


def test_the_energy_of_ebclr_is_eq_2_over_the_prototypes_up_to_a_constant():
    recipe = load_recipe("ebclr+gen")
    network = recipe.network
    assert network.l2_norm
    networks = Networks(1, 2, [8], [4], 3, network.head, network.temperature, seed=0, l2_norm=network.l2_norm)
    x = torch.randn(1, 20, 2)
    anchors = torch.nn.functional.normalize(networks.head.prototypes, dim=1).mT
    expected = energy(anchor_logits(networks.project(networks.encode(x)), anchors))
    difference = energy(networks(x)) - expected
    torch.testing.assert_close(difference, torch.full_like(difference, -1 / network.temperature), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("recipe", "overrides", "sentence"),
    [
        (
            "barlow",
            {"train.weights.gen": 1.0},
            "undo what train.weights.gen teaches; drop one of them, or put gen",
        ),
        ("gedi", {"train.weights.vicreg": 1.0}, "undo what train.weights.inv teaches"),
        ("swav", {"train.weights.infonce": 1.0}, "undo what train.weights.swav teaches"),
        ("wmse", {"train.batch": 16}, "a batch of more images than the projector has outputs"),
        ("vicreg", {"train.weights.protocpc": 1.0}, 'weights.protocpc needs network.head = "cosine"'),
    ],
)
def test_what_does_not_go_together_is_one_sentence(recipe, overrides, sentence):
    with pytest.raises(UserError, match=sentence):
        load_recipe(recipe, overrides)
