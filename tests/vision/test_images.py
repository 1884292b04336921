"""The vision track on images: small networks, a few steps, real CIFAR-10 where it can be had."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from gedi_nesy.data.load import load_pixels
from gedi_nesy.data.points import load_points
from gedi_nesy.errors import UserError
from gedi_nesy.methods import PUBLISHED
from gedi_nesy.runs.callbacks import Interrupted, Saver
from gedi_nesy.runs.phases import Callback, train_phases
from gedi_nesy.runs.rollback import Rollback
from gedi_nesy.vision import picture
from gedi_nesy.vision.learner import Learner
from gedi_nesy.vision.networks import new_networks
from gedi_nesy.vision.recipe import IMAGES, Augment, load_recipe, recipe_for
from gedi_nesy.vision.run import Run, load_run
from gedi_nesy.vision.scale import find_scale
from gedi_nesy.vision.train import resume, train
from gedi_nesy.vision.views import ImageInputs

TINY = {
    "network.encoder": "resnet8-8",
    "network.projector": [16, 8],
    "train.batch": 16,
    "train.steps": 12,
    "train.learning_rate": 2e-3,
    "sampler.chains": 16,
    "sampler.buffer": 32,
    "sampler.steps": 2,
    "log_every": 6,
    "guard.every": 4,
}
# explode at the first steps: a plain linear head, and steps so large that energies leave all bounds
WILD = {"network.head": "linear", "train.learning_rate": 0.5, "guard.largest_gap": 20.0, "guard.slower": 0.05}


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(picture, "IMAGES", 6)
    monkeypatch.setattr(picture, "IMAGE_STEPS", 2)


@pytest.fixture(scope="module")
def run(cifar, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture, "IMAGE_STEPS", 2)
        return train("paper-cifar10-gedi", out=tmp_path_factory.mktemp("run"), data_dir=cifar, **TINY)


def test_the_run_folder_is_complete(run):
    names = {path.name for path in run.folder.path.iterdir() if not path.name.startswith(".")}
    assert names == {
        "config.toml", "metrics.jsonl", "checkpoint.pt", "model.safetensors", "summary.json", "losses.png",
        "samples.png", "report.html",
    }  # fmt: skip
    summary = run.summary
    assert (summary["method"], summary["dataset"], summary["examples"]) == ("gedi", "cifar10-192", 192)
    assert {"nmi", "ami", "cluster_accuracy", "certificate"} <= set(summary)
    assert "log_likelihood" not in summary  # images have no grid to normalise on
    assert "returns" not in summary  # nothing diverged
    assert run.folder.read_metrics()[-1]["optimum"] == {"inv": 0.0, "prior": pytest.approx(math.log(10))}


def test_a_loaded_run_is_the_trained_one_and_says_what_it_reads(run, cifar):
    loaded, x = load_run(run.folder.path), load_points("cifar10", 9, 0, 0.0, data_dir=cifar).x_test[:7]
    assert torch.equal(loaded.log_probs(x), run.log_probs(x))
    assert loaded.features(x).shape == (7, 8)
    assert loaded.sample(2, steps=1).shape == (2, 3, 32, 32)
    assert loaded.evaluate(cifar)["nmi"] == run.summary["nmi"]
    with pytest.raises(UserError, match=r"images of shape \[n, 3, 32, 32\], not \[7, 32, 32\]"):
        loaded.predict(x[:, 0])


def learn(name, cifar, **overrides):
    """The losses of every step, without files."""
    recipe = load_recipe(name, TINY | overrides)
    data = load_points("cifar10", recipe.examples, recipe.seed, 0.0, data_dir=cifar)
    rows = []

    class Rows(Callback):
        def __call__(self, training, losses, total):
            rows.append({name: loss.sum().item() for name, loss in losses.items()})

    learner = Learner(recipe, [data.x_train], 10)
    networks, _ = learner.result(train_phases(learner, Rollback(recipe.guard), [Rows()]))
    return networks, rows


FALLING = {"swav": "swav", "barlow": "barlow", "gedi-no-inv": "prior", "gedi-no-gen": "prior", "gedi": "prior"}
FALLING |= {"gedi-no-prior": "inv", "gedi-two-stage": "prior", "jem": "gen"}


@pytest.mark.parametrize("method", PUBLISHED)
def test_every_method_trains_on_images(method, cifar):
    few = {"train.steps": 60 if method == "swav" else 24}  # on so small a batch its codes change from step to step
    if method == "gedi-two-stage":
        few |= {"pretrain.batch": 16, "pretrain.steps": 4}
    _, rows = learn(f"paper-cifar10-{method}", cifar, **few)
    assert all(math.isfinite(loss) for row in rows for loss in row.values())
    values = [row[FALLING[method]] for row in rows if FALLING[method] in row]
    assert np.mean(values[-12:]) < np.mean(values[:12])


@pytest.mark.parametrize("encoder", ["resnet18", "resnet18-groupnorm"])
def test_resnet_18_trains(encoder, cifar):
    few = {"network.encoder": encoder, "train.steps": 2, "train.batch": 4}
    if encoder == "resnet18":
        with pytest.raises(UserError, match="without batch norm"):
            load_recipe("paper-cifar10-gedi", few)
    method = "swav" if encoder == "resnet18" else "gedi"
    few |= {"sampler.chains": 4, "sampler.steps": 1, "examples": 8}
    networks, _ = learn(f"paper-cifar10-{method}", cifar, **few)
    assert networks.encode(torch.zeros(1, 2, 3, 32, 32)).shape == (1, 2, 512)


def test_restarts_and_an_average_of_the_weights_work_as_on_points(cifar):
    networks, _ = learn("paper-cifar10-gedi-no-gen", cifar, restarts=2, **{"train.steps": 3, "train.ema": 0.9})
    assert networks.count == 1


@pytest.mark.parametrize("method", ["gedi", "swav", "gedi-two-stage"])
@pytest.mark.usefixtures("no_pictures")
def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(method, cifar, tmp_path, monkeypatch):
    few = TINY | ({"pretrain.batch": 16, "pretrain.steps": 4} if method == "gedi-two-stage" else {})
    train(f"paper-cifar10-{method}", out=tmp_path / "whole", data_dir=cifar, **few)
    with monkeypatch.context() as patch:
        stop_at(7, patch)
        with pytest.raises(Interrupted):
            train(f"paper-cifar10-{method}", out=tmp_path / "run", data_dir=cifar, **few)
    resume(tmp_path / "run", data_dir=cifar)
    assert_same_weights(tmp_path / "whole", tmp_path / "run")


@pytest.mark.usefixtures("no_pictures")
def test_a_diverging_run_goes_back_and_on_with_smaller_steps(cifar, tmp_path, monkeypatch):
    settings = TINY | WILD | {"guard.retries": 4, "log_every": 2}
    settings["examples"] = 64
    whole = train("paper-cifar10-gedi", out=tmp_path / "whole", data_dir=cifar, **settings)
    returns = whole.summary["returns"]
    assert [entry["return"] for entry in returns] == list(range(1, len(returns) + 1))
    assert returns[0]["factor"] == 0.05
    assert "nats apart" in returns[0]["reason"]
    rows = whole.folder.read_metrics()
    assert [row for row in rows if "return" in row] == returns
    assert [row["step"] for row in rows if "return" not in row] == [2, 4, 6, 8, 10, 12]  # what was undone is gone
    assert rows[-1]["returns"] == len(returns)

    with monkeypatch.context() as patch:
        stop_at(returns[-1]["step"] + 2, patch)
        with pytest.raises(Interrupted):
            train("paper-cifar10-gedi", out=tmp_path / "stopped", data_dir=cifar, **settings)
    (resumed,) = resume(tmp_path / "stopped", data_dir=cifar)
    assert resumed.summary["returns"] == returns
    assert_same_weights(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (WILD | {"guard.retries": 2, "guard.slower": 0.9}, "nats apart, after 2 returns to an earlier state"),
        ({"guard.retries": 0, "guard.largest_sample": 0.5}, "a chain has got beyond 0.5\\);"),
        ({"guard.retries": 0, "sampler.noise": 3e38}, "chains have left the finite numbers"),
    ],
)
def test_a_run_that_cannot_be_saved_says_so(settings, reason, cifar, tmp_path):
    with pytest.raises(UserError, match=f"Training diverged \\(step .*{reason}"):
        train("paper-cifar10-gedi", out=tmp_path / "run", data_dir=cifar, **TINY | settings)


@pytest.mark.parametrize(
    "speed",
    [
        {"speed.bf16": True},
        {"speed.channels_last": True},
        pytest.param({"speed.compile": "default"}, marks=pytest.mark.slow),  # the compiler takes minutes
    ],
)
def test_a_quicker_way_to_compute_is_the_same_up_to_rounding(speed, cifar):
    networks, rows = learn("paper-cifar10-gedi", cifar, **{"train.steps": 2})
    quick, quick_rows = learn("paper-cifar10-gedi", cifar, **{"train.steps": 2}, **speed)
    assert set(networks.state_dict()) == set(quick.state_dict())
    for row, other in zip(rows, quick_rows, strict=True):
        assert row == pytest.approx(other, rel=0.03, abs=0.03)


def test_speed_settings_reach_the_network(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module, **how: compiled.append((module, how["mode"])))

    def made(**speed):
        recipe = load_recipe("paper-cifar10-gedi", TINY | {f"speed.{key}": value for key, value in speed.items()})
        networks = new_networks(recipe, 1, (3, 32, 32), 10, 0)
        networks.speed_up()
        (one,) = networks.members
        return one

    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain, half, last = made(), made(bf16=True), made(channels_last=True)
    assert not torch.equal(plain.encode(x), half.encode(x))
    kernels = [weight for weight in last.parameters() if weight.dim() == 4 and weight.shape[1] > 1]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels)
    assert compiled == []
    for mode in ("default", "reduce-overhead"):
        one = made(compile=mode)
        assert compiled[-2:] == [(one.encoder, mode), (one, mode)]


def views_of(x, **how):
    scale = find_scale(x, "symmetric")
    return ImageInputs(x[None], [scale], Augment(**how), noise=0.1)


def test_what_a_view_is_a_view_of():
    x = torch.randint(256, (50, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    _, clean, view = views_of(x).draw(2, 400, torch.Generator().manual_seed(1))
    assert clean.shape == (2, 400, 3, 8, 8)
    assert (view - clean).std().item() == pytest.approx(0.1, abs=0.005)
    assert clean.abs().max() <= 1
    known = {tuple(image.flatten().tolist()) for image in views_of(x).points(torch.arange(50)[None])[0]}
    assert all(tuple(image.flatten().tolist()) in known for image in clean[0, :20])
    _, noisy, view = views_of(x, anchor="noise").draw(1, 400, torch.Generator().manual_seed(1))
    assert (view - noisy).std().item() == pytest.approx(0.1 * math.sqrt(2), abs=0.005)
    _, one, other = views_of(x, anchor="view", flip=0.5).draw(1, 400, torch.Generator().manual_seed(1))
    assert (one - other).std() > 0.3  # one of them is flipped, in half of the pairs


def test_standard_inputs_have_mean_0_and_deviation_1_in_each_channel():
    x = torch.randint(200, (30, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    inputs = find_scale(x, "standard").to_inputs(x)
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(inputs.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


@pytest.mark.usefixtures("no_pictures")
def test_an_image_folder_is_trained_on_by_its_path(tmp_path):
    rng = np.random.default_rng(0)
    for split, n in (("train", 6), ("test", 2)):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for k in range(n):
                pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pets" / split / name / f"{k}.png")
    name = recipe_for("gedi", dataset=str(tmp_path / "pets"))
    assert name == "paper-cifar10-gedi"
    run = train(name, out=tmp_path / "run", dataset=str(tmp_path / "pets"), **TINY | {"train.steps": 2})
    assert (run.summary["dataset"], run.summary["examples"], run.clusters) == ("pets", 12, 2)


@pytest.mark.usefixtures("no_pictures")
def test_images_without_labels_are_trained_on_with_as_many_clusters_as_asked_for(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "pets").mkdir()
    for k in range(12):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / "pets" / f"{k}.png")
    few = TINY | {"train.steps": 2, "dataset": str(tmp_path / "pets")}
    with pytest.raises(UserError, match="has no labels to count; say how many clusters"):
        train("paper-cifar10-gedi", out=tmp_path / "run", **few)
    run = train("paper-cifar10-gedi", out=tmp_path / "run", clusters=3, **few)
    assert (run.summary["examples"], run.clusters) == (12, 3)
    assert "nmi" not in run.summary
    assert load_run(run.folder.path).predict(load_pixels(str(tmp_path / "pets"))[1]).shape == (12,)


def test_a_data_set_of_the_other_kind_is_refused(cifar, tmp_path):
    with pytest.raises(UserError, match=r"moons are points, .* take one like gedi"):
        train("paper-cifar10-gedi", out=tmp_path / "run", dataset="moons", **TINY)
    with pytest.raises(UserError, match=r"are images, .* take one like paper-cifar10-gedi"):
        train("gedi", out=tmp_path / "run", dataset="cifar10", data_dir=cifar)
    assert not (tmp_path / "run").exists()


def test_the_paper_recipe_is_appendix_m():
    recipe = load_recipe("paper-cifar10-gedi")
    assert (recipe.network.encoder, recipe.network.projector) == ("resnet8-128", (256, 128))
    assert (recipe.train.batch, recipe.train.learning_rate(0.5)) == (64, 1e-4)
    assert recipe.train.steps == 200 * (50_000 // 64)
    on = {name: weight(0.5) for name, weight in recipe.train.weights if not weight.is_zero}
    assert on == {"gen": 1, "inv": 50, "prior": 25}
    sampler = recipe.sampler
    assert (sampler.steps, sampler.step_size, sampler.noise) == (20, 1.0, 0.01)
    assert (sampler.buffer, sampler.reinit, sampler.clamp) == (10_000, 0.05, False)
    assert (recipe.augment.jitter, recipe.augment.grey, recipe.view.noise) == (0.1, 0.1, 0.03)
    assert (load_recipe("paper-svhn-gedi").augment.flip, load_recipe("paper-svhn-swav").augment.anchor) == (0, "view")
    hundred = load_recipe("paper-cifar100-gedi")
    assert (hundred.network.encoder, hundred.train.weights.prior(0.5)) == ("resnet8-256", 50)
    assert load_recipe("paper-cifar100-jem").train.weights.prior.is_zero


def stop_at(step, patch):
    """Let the run be asked to stop after this step."""

    class Stopping(Saver):
        def __call__(self, training, losses, total):
            if training.step == step:
                self.stop.set()
            super().__call__(training, losses, total)

    patch.setattr("gedi_nesy.runs.session.Saver", Stopping)


def assert_same_weights(first, second):
    one, other = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert all(torch.equal(one[name], other[name]) for name in one)
    histories = [(folder / "metrics.jsonl").read_text().splitlines() for folder in (first, second)]
    losses = [[json.loads(line).get("loss") for line in lines] for lines in histories]
    assert losses[0] == losses[1]


def test_samples_that_leave_the_numbers_cost_a_picture_and_not_the_run(cifar, tmp_path, monkeypatch):
    def explode(*arguments, **settings):
        raise FloatingPointError("a chain has left the finite numbers")

    monkeypatch.setattr(Run, "sample", explode)
    run = train("paper-cifar10-gedi", out=tmp_path / "run", data_dir=cifar, **TINY | {"train.steps": 2})
    assert "nmi" in run.summary
    assert not (run.folder / "samples.png").exists()
    assert run.summary["picture_failed"] == "a chain has left the finite numbers"
    assert run.summary["picture_failed"] in (run.folder / "report.html").read_text()


def test_the_guard_of_every_published_recipe_can_fire():
    """Logits are cosines over a temperature, so energies lie at most 2 / temperature apart."""
    for name in (recipe_for(method, dataset=dataset) for method in PUBLISHED for dataset in IMAGES):
        recipe = load_recipe(name)
        if recipe.has_energy_model:
            assert recipe.guard.largest_gap < 2 / recipe.network.temperature
            assert recipe.guard.retries


def test_data_that_only_others_are_compared_with_are_not_trained_on(cifar, tmp_path, monkeypatch):
    whole = load_points("cifar10", None, 0, 0.0, data_dir=cifar)
    monkeypatch.setattr("gedi_nesy.vision.train.load_points", lambda *a: replace(whole, x_train=whole.x_train[:0]))
    with pytest.raises(UserError, match="has test images only"):
        train("paper-cifar10-gedi", out=tmp_path / "run", data_dir=cifar, **TINY)
    monkeypatch.setattr("gedi_nesy.vision.train.load_points", lambda *a: replace(whole, x_test=whole.x_test[:0]))
    with pytest.raises(UserError, match="has no test images"):
        train("paper-cifar10-gedi", out=tmp_path / "run", data_dir=cifar, **TINY)
    assert not (tmp_path / "run").exists()
