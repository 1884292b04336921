import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from gedi_nesy.cells import Cell, Outcome
from gedi_nesy.cli import main
from gedi_nesy.vision.compare import gather
from gedi_nesy.vision.recipe import load_recipe
from tests.vision.tiny import tiny_images, tiny_run

FEW = ["--set", "restarts=1", "--set", "view.walk=4", "--set", "pretrain.steps=2", "--set", "train.steps=3"]
FEW += ["--set", "refine.steps=2", "--set", "examples=60"]


def call(*arguments):
    return CliRunner().invoke(main, ["vision", *map(str, arguments)])


def test_train_prints_the_summary_and_refuses_a_second_run_in_the_folder(tmp_path):
    done = call("train", "--dataset", "blobs", "--out", tmp_path / "run", "--json", *FEW)
    assert done.exit_code == 0
    summary = json.loads(done.stdout)
    assert (summary["dataset"], summary["method"]) == ("blobs", "gedi")
    again = call("train", "--dataset", "blobs", "--out", tmp_path / "run", *FEW)
    assert again.exit_code == 1
    assert "not empty" in again.output


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--dataset", "mooons"], 1, "no data set 'mooons'"),
        (["--method", "gdi"], 2, "gdi"),
        (["--recipe", "gedi", "--method", "swav"], 2, "exclude each other"),
        (["--recipe", "gedi", "--published"], 2, "exclude each other"),
        (["--resume", "run", "--seed", "3"], 2, "leave out --seed"),
        (["--set", "view.wak=3"], 1, "did you mean 'view.walk'"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(options, code, sentence):
    result = call("train", *options)
    assert result.exit_code == code
    assert sentence in result.output


def test_compare_puts_methods_beside_the_paper(tmp_path):
    few = ["--set", "train.steps=3", "--set", "examples=60", "--set", "sampler.chains=10", "--set", "sampler.buffer=20"]
    options = ["--methods", "gedi,swav", "--datasets", "moons", "--seeds", 1, "--jobs", 1, "--published", *few]
    done = call("compare", *options, "--out", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    table = json.loads(done.stdout)["table"]
    assert [(line["method"], line["dataset"], line["finished"]) for line in table] == [
        ("gedi", "moons", 1),
        ("swav", "moons", 1),
    ]
    assert table[0]["published"]["nmi"]["median"] == 0.94


@pytest.mark.parametrize("other", ["data_noise=0.1", "data_scale=2"])
def test_other_points_than_the_paper_s_have_no_figures_of_the_paper_beside_them(other, tmp_path):
    few = ["--set", "train.steps=1", "--set", "examples=60", "--set", other]
    options = ["--methods", "swav", "--datasets", "moons", "--seeds", 1, "--jobs", 1, "--published", *few]
    table = json.loads(call("compare", *options, "--out", tmp_path, "--json").stdout)["table"]
    assert table[0]["published"] == {}


def test_on_images_the_papers_nmi_stands_beside_chance_and_there_is_no_density():
    def compared(*recipes):
        cells = [Cell(name, "gedi", "cifar10", 0, load_recipe(name).to_toml()) for name in recipes]
        return gather([Outcome(cell) for cell in cells])

    (line,) = compared("paper-cifar10-gedi").lines()
    assert line.published["nmi_batch64"].median == 0.44
    assert {"nmi_batch64", "nmi_batch64_chance"} <= set(compared("paper-cifar10-gedi").figures)
    assert "log_likelihood" not in compared("paper-cifar10-gedi").figures
    assert "nmi_batch64" not in compared("gedi").figures
    assert {"nmi_batch64", "log_likelihood"} <= set(compared("gedi", "paper-cifar10-gedi").figures)


@pytest.mark.parametrize("datasets", ["a/p.npz,b/p.npz", "own/moons.npz"])
def test_two_data_sets_of_one_name_are_not_taken_for_one(datasets, tmp_path):
    result = call("compare", "--datasets", datasets, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "would have one name" in result.output
    assert not (tmp_path / "out").exists()


def test_recipes_are_listed():
    assert "paper-gedi" in json.loads(call("recipes", "--json").stdout)


@pytest.fixture(scope="module")
def on_points(tmp_path_factory):
    folder = tmp_path_factory.mktemp("points") / "run"
    assert call("train", "--dataset", "moons", "--out", folder, *FEW).exit_code == 0
    return folder


@pytest.fixture
def on_images(tmp_path, monkeypatch):
    images = tiny_images()
    arrays = {name: getattr(images, name).numpy() for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "tiny.npz", **arrays)
    run = tiny_run(tmp_path, tmp_path / "tiny.npz")
    monkeypatch.setattr("gedi_nesy.cli.load_vision_run", lambda folder, device: run)
    monkeypatch.setattr("gedi_nesy.vision.classifier.cache_folder", lambda: tmp_path)
    return tmp_path


def test_a_run_on_points_is_evaluated_sampled_and_asked_about_noise(on_points, tmp_path):
    figures = json.loads(call("evaluate", on_points, "--json").stdout)
    summary = json.loads((on_points / "summary.json").read_text())
    assert {key: summary[key] for key in figures} == figures
    assert "NMI" in call("evaluate", on_points).output
    done = call("sample", on_points, "-n", 20, "--steps", 2, "--out", tmp_path / "points.png")
    assert done.output.strip() == str(tmp_path / "points.png")
    assert Image.open(tmp_path / "points.png").width > 1000  # the density, and the samples beside it
    assert json.loads(call("ood", on_points, "--against", "noise,circles", "--json").stdout).keys() == {
        "noise",
        "circles",
    }
    assert "max softmax" in call("ood", on_points).output


def test_a_run_on_images_has_every_figure(on_images):
    figures = json.loads(call("evaluate", on_images, "--samples", 40, "--steps", 2, "--json").stdout)
    clusters = {"nmi", "ami", "cluster_accuracy", "nmi_batch64", "nmi_batch64_chance", "linear_probe", "knn"}
    assert clusters | {"samples", "test_images", "reference", "extractor", "steps", "published"} == set(figures)
    assert set(figures["samples"]) == {"FD(classifier)", "KD(classifier)", "precision", "recall", "images"}
    assert set(json.loads(call("evaluate", on_images, "--samples", 0, "--json").stdout)) == clusters | {"published"}
    text = call("evaluate", on_images, "--samples", 40).output
    assert "Mean NMI of batches of 64" in text
    assert "FD(classifier)" in text
    assert "FID" not in text


def test_samples_that_cannot_be_had_cost_their_own_figures_only(on_images):
    figures = json.loads(call("evaluate", on_images, "--samples", 2, "--steps", 2, "--json").stdout)
    assert "needs 4 samples or more, not 2" in figures["samples_failed"]
    assert {"nmi", "linear_probe", "knn"} <= set(figures)
    assert "needs 4 samples or more" in " ".join(call("evaluate", on_images, "--samples", 2).output.split())


def test_images_are_drawn_and_told_from_noise(on_images):
    assert call("sample", on_images, "-n", 40, "--steps", 2, "--out", on_images / "grid.png").exit_code == 0
    width, height = Image.open(on_images / "grid.png").size
    assert width > 16 * 64 > height  # three rows of sixteen
    assert "rotated" in json.loads(call("ood", on_images, "--against", "noise,rotated", "--json").stdout)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluate", "RUN", "--inception", "weights.pth"], "is a run on points; leave its weights out"),
        (["ood", "RUN", "--against", "mooons"], "no data set 'mooons'"),
        (["sample", "nowhere"], "not a run folder"),
        (["train", "--dataset", "own.npz", "--noise", "0.1"], "--noise is that of a toy, and own.npz is none"),
        (["train", "--dataset", "own.npz", "--scale", "2"], "--scale is that of a toy, and own.npz is none"),
    ],
)
def test_what_cannot_be_evaluated_is_one_sentence(on_points, arguments, sentence):
    result = call(*(on_points if argument == "RUN" else argument for argument in arguments))
    assert result.exit_code == 1
    assert sentence in result.output
