"""Runs of the vision track end to end, small enough for a test."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gedi_nesy.data.points import load_points
from gedi_nesy.errors import UserError
from gedi_nesy.methods import PUBLISHED, WITHOUT_RULE
from gedi_nesy.runs.callbacks import Interrupted, Saver
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.runs.phases import train_phases
from gedi_nesy.runs.rollback import Rollback
from gedi_nesy.vision import learner, results
from gedi_nesy.vision.recipe import IMAGES, load_recipe, recipe_for, recipe_names
from gedi_nesy.vision.run import load_run
from gedi_nesy.vision.train import resume, train, train_seeds

SMALL = {
    "examples": 60,
    "restarts": 2,
    "log_every": 5,
    "view.walk": 4,
    "network.encoder": [8],
    "network.projector": [4],
    "pretrain.steps": 5,
    "train.steps": 10,
    "refine.steps": 10,
    "sampler.chains": 20,
    "sampler.buffer": 50,
}
FEW = {"examples": 60, "train.steps": 5, "sampler.chains": 20, "sampler.buffer": 50}
PLANE = {"clusters.png", "density.png", "training.png"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(out=tmp_path_factory.mktemp("run"), **SMALL)


def test_the_run_folder_is_complete(run):
    names = {path.name for path in run.folder.path.iterdir() if not path.name.startswith(".")}
    files = {"config.toml", "metrics.jsonl", "checkpoint.pt", "model.safetensors", "summary.json", "losses.png"}
    assert names == files | PLANE | {"report.html"}
    rows = run.folder.read_metrics()
    assert [(row["stage"], row["step"]) for row in rows] == [
        ("pretrain", 5), ("train", 5), ("train", 10), ("refine", 5), ("refine", 10),
    ]  # fmt: skip
    assert rows[1]["optimum"] == {"inv": 0.0, "prior": pytest.approx(np.log(2))}


def test_the_summary_says_what_was_found_and_how_the_network_was_chosen(run):
    summary = run.summary
    assert (summary["method"], summary["dataset"], summary["examples"]) == ("gedi", "moons", 60)
    assert len(summary["restarts"]["D"]) == 2
    assert summary["restarts"]["best"] == int(np.argmin(summary["restarts"]["D"]))
    assert not summary["certificate"]["certified"]  # ten steps teach nobody
    assert summary["kde_log_likelihood"] > summary["log_likelihood"]
    assert run.evaluate()["nmi"] == summary["nmi"]


def test_a_loaded_run_is_the_trained_one(run):
    loaded, x = load_run(run.folder.path), torch.randn(9, 2)
    assert torch.equal(loaded.log_probs(x), run.log_probs(x))
    assert torch.equal(loaded.sample(3, steps=2, seed=1), run.sample(3, steps=2, seed=1))
    with pytest.raises(UserError, match="shape \\[n, 2\\], not \\[9, 3\\]"):
        loaded.predict(torch.randn(9, 3))


@pytest.mark.parametrize("stop_at", [("pretrain", 3), ("train", 7), ("refine", 4)])
@pytest.mark.usefixtures("no_pictures")
def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(run, tmp_path, monkeypatch, stop_at):
    class Stopping(Saver):
        def __call__(self, training, losses, total):
            if (self.state.phase.name, training.step) == stop_at:
                self.stop.set()
            super().__call__(training, losses, total)

    with monkeypatch.context() as patch:
        patch.setattr("gedi_nesy.runs.session.Saver", Stopping)
        with pytest.raises(Interrupted):
            train(out=tmp_path / "run", **SMALL)
    resume(tmp_path / "run")
    whole, resumed = (load_file(folder / "model.safetensors") for folder in (run.folder.path, tmp_path / "run"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in rows] == [row["loss"] for row in run.folder.read_metrics()]
    with pytest.raises(UserError, match="is finished"):
        resume(tmp_path / "run")


@pytest.mark.parametrize("method", [method for method in PUBLISHED if method != "gedi"])
@pytest.mark.usefixtures("no_pictures")
def test_every_published_method_runs(method, tmp_path):
    few = FEW | ({"pretrain.steps": 5} if method == "gedi-two-stage" else {})
    run = train(recipe_for(method, published=True), out=tmp_path / "run", **few)
    assert run.summary["method"] == method
    assert 0 <= run.summary["nmi"] <= 1
    assert run.recipe.has_energy_model == (method not in ("gedi-no-gen", "swav", "barlow"))


def test_seeds_side_by_side_each_get_a_run(tmp_path, monkeypatch):
    drawn, draw = [], results.draw_pictures
    monkeypatch.setattr(results, "draw_pictures", lambda *args: drawn.append(args[3]) or draw(*args))
    runs = train_seeds("gedi", out=tmp_path / "both", seeds=2, seed=3, **SMALL)
    assert [run.summary["seed"] for run in runs] == [3, 4]
    first, second = (load_run(tmp_path / "both" / f"seed{seed}") for seed in (3, 4))
    assert not torch.equal(first.scale.shift, second.scale.shift)  # points of their own
    summary = json.loads((tmp_path / "both" / "summary.json").read_text())
    assert [row["nmi"] for row in summary["seeds"]] == [run.summary["nmi"] for run in runs]
    rows, best = RunFolder(tmp_path / "both").read_metrics(), runs[1].summary["restarts"]["best"]
    assert drawn[1][1]["loss"]["inv"] == rows[1]["each"]["inv"][2 + best]  # of its own chosen restart, not the mean
    assert drawn[0][-1]["loss"]["gen"] == rows[-1]["each"]["gen"][0]
    with pytest.raises(UserError, match=r"holds 2 runs; name one of them, as .*/seed3"):
        load_run(tmp_path / "both")


def test_restarts_of_barlow_are_judged_by_the_clusters_of_k_means(monkeypatch):
    called = []
    for name in ("fit_heads", "choose"):
        done = getattr(learner, name)
        monkeypatch.setattr(learner, name, lambda *args, name=name, done=done: called.append(name) or done(*args))
    recipe = load_recipe("barlow", SMALL)
    barlow = learner.Learner(recipe, [torch.randn(60, 2)], 2)
    barlow.result(train_phases(barlow, Rollback(recipe.guard)))
    assert called == ["fit_heads", "choose", "fit_heads"]  # before the choice, and of the one that was trained on


def test_a_column_far_from_0_loses_nothing_in_float64():
    x = torch.randn(60, 2, dtype=torch.float64)
    near, far = (learner.Learner(load_recipe("gedi", SMALL), [data], 2).inputs.x for data in (x, x + 1e9))
    torch.testing.assert_close(near, far, rtol=0, atol=1e-5)
    assert near.dtype == torch.float32


@pytest.mark.usefixtures("no_pictures")
def test_a_table_of_ones_own_needs_no_labels_and_any_number_of_columns(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, x_train=np.random.default_rng(0).normal(size=(50, 5)))
    run = train(out=tmp_path / "run", **SMALL, dataset=str(path), clusters=3)
    assert run.predict(torch.randn(7, 5)).max() < 3
    assert "nmi" not in run.summary
    with pytest.raises(UserError, match="no labels to count"):
        train(out=tmp_path / "other", **SMALL, dataset=str(path))
    np.savez(
        path, x_train=np.zeros((50, 2)), y_train=np.zeros(50, int), x_test=np.ones((9, 2)), y_test=np.zeros(9, int)
    )
    with pytest.raises(UserError, match="is nothing to learn; ask for more"):  # nothing to tell apart, D = 0
        train(out=tmp_path / "other", **SMALL, dataset=str(path))


def test_so_many_examples_are_drawn_from_a_table_and_all_of_them_by_default(tmp_path):
    x = np.arange(90.0).reshape(30, 3)
    np.savez(tmp_path / "own.npz", x_train=x, y_train=np.arange(30))
    draws = ((None, 0), (8, 0), (8, 1))
    whole, few, other = (load_points(str(tmp_path / "own.npz"), n, seed, 0.0) for n, seed in draws)
    assert whole.x_train.tolist() == x.tolist()
    assert torch.equal(few.x_train, torch.from_numpy(x).float()[few.y_train])  # labels stay with their points
    assert len(few.y_train.unique()) == 8
    assert few.y_train.tolist() != other.y_train.tolist()


def test_labels_of_a_table_may_be_any_integers(tmp_path):
    """They name the clusters to score by; 10**9 is not the number of clusters."""
    x, ids = np.eye(4, 2), np.array([-1, 10**9, 7, 10**9])
    np.savez(tmp_path / "own.npz", x_train=x, y_train=ids, x_test=x, y_test=ids[::-1])
    points = load_points(str(tmp_path / "own.npz"), None, 0, 0.0)
    assert (points.y_train.tolist(), points.y_test.tolist()) == ([0, 2, 1, 2], [2, 1, 2, 0])


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": np.zeros((4, 2))}, "no x_train"),
        ({"x_train": np.zeros(4)}, "give real numbers \\[points, columns\\]"),
        ({"x_train": np.zeros((30, 0))}, "float64 \\[30, 0\\]; give real numbers"),
        ({"x_train": np.zeros((4, 2), complex)}, "complex128 \\[4, 2\\]; give real numbers"),
        ({"x_train": np.ones((30, 2))}, "All points are the same"),
        ({"x_train": 1e9 + np.arange(8.0).reshape(4, 2)}, "too far from 0 for float32"),
        ({"x_train": np.full((4, 2), np.nan)}, "not finite"),
        ({"x_train": np.zeros((4, 2)), "x_test": np.zeros((4, 3))}, "2 columns and x_test 3"),
        ({"x_train": np.zeros((4, 2)), "y_train": np.zeros(3, int)}, "one integer for each of the 4 points"),
    ],
)
def test_a_file_without_usable_points_is_refused_in_one_sentence(arrays, sentence, tmp_path):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(UserError, match=sentence):
        train(out=tmp_path / "run", dataset=str(tmp_path / "bad.npz"), clusters=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_survives_being_written_and_read(name, tmp_path):
    recipe = load_recipe(name)
    assert recipe.recipe == name
    (tmp_path / "config.toml").write_text(recipe.to_toml())
    assert load_recipe(str(tmp_path / "config.toml")) == recipe


def test_every_method_has_our_recipe_and_the_paper_s():
    ours = {recipe_for(method) for method in WITHOUT_RULE}
    on_points = {recipe_for(method, True) for method in PUBLISHED}
    on_images = {recipe_for(method, True, dataset) for method in PUBLISHED for dataset in IMAGES}
    on_a_gpu = {"gedi-pictures", "gedi-pictures-1-hour", "gedi-pictures-3-hours"}  # chosen by their names only
    small = {recipe_for("gedi", dataset=dataset) for dataset in ("mnist", "fashion-mnist")}
    assert set(recipe_names()) == ours | on_points | on_images | on_a_gpu | small


def test_the_paper_recipe_is_appendix_l():
    recipe = load_recipe("paper-gedi")
    assert (recipe.network.encoder, recipe.network.projector) == ((100, 100, 2), (4, 2))
    assert (recipe.train.steps, recipe.train.batch, recipe.train.learning_rate(0.5)) == (20_000, 400, 1e-3)
    weights = recipe.train.weights
    assert [w(0.5) for w in (weights.gen, weights.inv, weights.prior)] == [1, 50, 10]
    assert (recipe.view.noise, recipe.view.walk) == (0.03, 0)
    sampler = recipe.sampler
    assert (sampler.steps, sampler.step_size, sampler.noise) == (1, pytest.approx(0.01**2 / 2), 0.01)
    assert (sampler.buffer, sampler.reinit) == (10_000, 0.05)
    assert load_recipe("paper-jem").sampler.steps == 10


@pytest.mark.usefixtures("no_pictures")
def test_older_run_folders_are_read(run, tmp_path):
    """They don't say their track, and have settings that are none any more."""
    folder = shutil.copytree(run.folder.path, tmp_path / "old")
    config = (folder / "config.toml").read_text()
    assert 'track = "points"\n' in config
    (folder / "config.toml").write_text("data_scale = 1.0\n" + config.replace('track = "points"\n', ""))
    x = torch.randn(9, 2)
    assert torch.equal(load_run(folder).log_probs(x), run.log_probs(x))
    (folder / "summary.json").unlink()
    (resumed,) = resume(folder)
    assert resumed.summary["nmi"] == run.summary["nmi"]
