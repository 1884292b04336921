"""SwAV+NeSy and Barlow+NeSy: short runs on the same loop, and what they add to it."""

import math

import pytest
import torch
from safetensors.torch import load_file

from gedi_nesy.core.fit import Training
from gedi_nesy.core.losses import barlow_loss, swav_loss
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.candidates import Build, Candidates, Shape
from gedi_nesy.nesy.losses import StepLosses
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.run import load_run
from gedi_nesy.nesy.train import resume, train
from gedi_nesy.networks.mnist_net import PrototypeNet

SHORT = {
    "dataset": "digits",
    "log_every": 5,
    "checkpoint_seconds": 0.0,
    "train.epochs": None,
    "train.steps": 30,
    "train.learning_rate": 1e-3,
    "train.warp": False,
}


class Killed(BaseException):
    """Stands in for a kill."""


def kill_at_20(row):
    if row["step"] == 20:
        raise Killed


@pytest.fixture(scope="module", params=["swav", "barlow"])
def runs(request, tmp_path_factory):
    """The rival's name, a run of it, and the same run killed at step 20 and resumed."""
    recipe, folder = f"{request.param}-nesy-addition-100", tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gedi_nesy.nesy.results.draw_pictures", lambda *of_the_run: None)
        whole = train(recipe, out=folder / "whole", **SHORT)
        with pytest.raises(Killed):
            train(recipe, out=folder / "killed", progress=kill_at_20, **SHORT)
        return request.param, whole, resume(folder / "killed")


def test_losses_are_finite_and_fall(runs):
    rival, run, _ = runs
    rows = run.folder.read_metrics()
    assert set(rows[0]["loss"]) == {"nesy", rival}
    assert all(math.isfinite(value) for row in rows for value in row["loss"].values())
    for falling in (lambda row: row["loss"][rival], lambda row: row["total"]):
        assert sum(map(falling, rows[-2:])) < 0.9 * sum(map(falling, rows[:2]))


def test_a_killed_run_ends_with_the_weights_of_a_whole_one(runs):
    _, whole, resumed = runs
    weights = [load_file(run.folder / "model.safetensors") for run in (whole, resumed)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert [row["loss"] for row in whole.folder.read_metrics()] == [
        row["loss"] for row in resumed.folder.read_metrics()
    ]


def test_a_loaded_run_answers_as_any_other(runs):
    rival, run, _ = runs
    loaded, x = load_run(run.folder.path), run.images().x_test[:3]
    assert torch.equal(loaded.log_probs(x), run.log_probs(x))
    assert loaded.predict(x) == loaded.log_probs(x).argmax(-1).tolist()
    assert loaded.evaluate()["accuracy"] == run.summary["accuracy"]
    assert run.summary["method"] == f"{rival}+nesy"
    a, b, c = loaded.log_probs(x)
    (answer,) = loaded.query("addition(tensor(test(0)),tensor(test(1)),tensor(test(2)))").values()
    expected = sum((a[i] + b[j] + c[i + j]).exp() for i in range(10) for j in range(10 - i))
    assert answer == pytest.approx(expected.item(), rel=1e-5)
    if rival == "swav":
        assert loaded.energy(x).abs().max() <= 10 + math.log(10)  # cosines / .1
    with pytest.raises(UserError, match="without L_GEN"):
        loaded.sample(1)


def test_prototype_logits_are_cosines_of_the_linear_features():
    net, x = PrototypeNet(4), torch.rand(3, 1, 28, 28)
    features, prototypes = net.features(x), net.classifier[-1].prototypes.weight
    cosines = torch.cosine_similarity(features[:, None], prototypes[None], dim=-1)
    torch.testing.assert_close(net(x), cosines / 0.1)
    assert (features < 0).any()  # no ReLU in front of the prototypes


def test_fresh_prototypes_keep_features_and_projector():
    candidates = Candidates({"digits": Shape(4)}, 1, seed=0, build=Build(head="cosine"), dim=84)
    before = {name: tensor.clone() for name, tensor in candidates.state_dict().items()}
    candidates.redraw_heads(seed=1)
    changed = [name for name, tensor in candidates.state_dict().items() if not torch.equal(tensor, before[name])]
    assert changed == ["nets.0.digits.classifier.3.prototypes.weight"]


@pytest.fixture
def step(addition, loader, request):
    """For a rival the losses of two candidates, and the images of all examples, which every step shows as they are."""
    settings = {"train.noise": 0.0, "train.warp": False, "train.batch": 40}
    recipe = load_recipe(f"{request.param}-nesy-addition-100", settings)
    images = torch.rand(loader.inputs["digits"].shape, generator=torch.Generator().manual_seed(0))
    loader.inputs = {"digits": images}
    candidates = Candidates(
        {"digits": Shape(10)}, 2, 0, Build(head=recipe.head), dim=84 if request.param == "barlow" else None
    )
    training = Training(candidates, torch.optim.SGD(candidates.parameters(), 0.1), torch.Generator())
    losses = StepLosses(recipe, recipe.train, addition, loader, training, seed=0)
    return losses, loader.batch(torch.arange(40)).images["digits"]


@pytest.mark.parametrize("step", ["swav"], indirect=True)
def test_a_step_of_swav_is_the_published_loss_of_each_candidates_cosines(step):
    losses, images = step
    cosines = 0.1 * losses.candidates("digits", images)
    torch.testing.assert_close(losses(0)["swav"], torch.stack([swav_loss(scores, scores) for scores in cosines]))


@pytest.mark.parametrize("step", ["barlow"], indirect=True)
def test_a_step_of_barlow_is_the_published_loss_of_each_candidates_projections(step):
    losses, images = step
    embeddings = []
    for k in range(2):
        features = losses.candidates.networks(k)["digits"].features(images)
        embeddings.append(losses.candidates.projectors[k]["digits"](features))
    expected = torch.stack([barlow_loss(values, values) for values in embeddings])
    torch.testing.assert_close(losses(0)["barlow"], expected, rtol=1e-3, atol=1e-3)


def test_swav_needs_prototypes():
    with pytest.raises(UserError, match="whose prototypes it learns"):
        load_recipe("paper-addition-100", {"train.weights.swav": 1.0})
