import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from gedi_nesy.cli import main
from gedi_nesy.errors import UserError
from gedi_nesy.runs.compare.trial import Cell, Outcome
from gedi_nesy.vision.compare import gather
from gedi_nesy.vision.extractor import Extractor
from gedi_nesy.vision.ood import ood_auroc
from gedi_nesy.vision.recipe import Recipe, load_recipe, recipe_for
from gedi_nesy.vision.samples import draw_images
from tests.vision.tiny import tiny_images, tiny_run

FEW = ["--set", "restarts=1", "--set", "view.walk=4", "--set", "pretrain.steps=2", "--set", "train.steps=3"]
FEW += ["--set", "refine.steps=2", "--set", "examples=60"]


def call(*arguments):
    return CliRunner().invoke(main, ["vision", *map(str, arguments)])


@pytest.mark.usefixtures("no_pictures")
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


@pytest.mark.usefixtures("no_pictures")
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
    assert table[0]["published"]["nmi"]["centre"] == 0.94


@pytest.mark.usefixtures("no_pictures")
def test_other_points_than_the_paper_s_have_no_figures_of_the_paper_beside_them(tmp_path):
    few = ["--set", "train.steps=1", "--set", "examples=60", "--set", "data_noise=0.1"]
    options = ["--methods", "swav", "--datasets", "moons", "--seeds", 1, "--jobs", 1, "--published", *few]
    table = json.loads(call("compare", *options, "--out", tmp_path, "--json").stdout)["table"]
    assert table[0]["published"] == {}


def test_on_images_the_papers_nmi_stands_beside_chance_and_there_is_no_density():
    def compared(*recipes):
        cells = [Cell(name, "gedi", "cifar10", 0, load_recipe(name).to_toml()) for name in recipes]
        return gather([Outcome(cell) for cell in cells])

    (line,) = compared("paper-cifar10-gedi").lines()
    assert line.published["nmi_batch64"].centre == 0.44
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


def test_a_data_set_finds_its_recipe(tmp_path):
    assert recipe_for("swav", dataset="cifar100") == "paper-cifar100-swav"
    assert load_recipe(recipe_for("swav", dataset="mnist")).augment.flip == 0
    assert recipe_for("gedi", dataset="mnist") == recipe_for("gedi", dataset="notmnist") == "gedi-drawings"
    assert recipe_for("gedi", dataset="fashion-mnist") == "gedi-things"
    assert recipe_for("gedi", published=True, dataset="mnist") == "paper-svhn-gedi"
    for shape, recipe in {(9, 28, 28): "gedi-drawings", (9, 32, 32, 3): "paper-cifar10-gedi"}.items():
        np.savez(tmp_path / "own.npz", x_train=np.zeros(shape, np.uint8))
        assert recipe_for("gedi", dataset=str(tmp_path / "own.npz")) == recipe
    with pytest.raises(UserError, match=r"pets.npz can't be read"):
        recipe_for("swav", dataset="pets.npz")


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
    monkeypatch.setattr("gedi_nesy.vision.run.load_run", lambda folder, device: run)
    monkeypatch.setattr("gedi_nesy.vision.classifier.cache_folder", lambda: tmp_path)
    return tmp_path


def test_a_run_without_a_rule_is_told_from_one_with_it(on_points):
    for arguments in (["evaluate", on_points], ["query", on_points, "a(X)"], ["train", "--resume", on_points]):
        asked = CliRunner().invoke(main, list(map(str, arguments)))
        assert asked.exit_code == 1
        assert "without a rule: use gedi-nesy vision" in " ".join(asked.output.split())


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
    samples = {"samples", "test_images", "reference", "extractor", "sgld_steps"}
    assert clusters | samples | {"trained_with_gen", "published"} == set(figures)
    assert figures["trained_with_gen"]
    assert set(figures["samples"]) == {"FD(classifier)", "KD(classifier)", "precision", "recall", "images"}
    none = json.loads(call("evaluate", on_images, "--samples", 0, "--json").stdout)
    assert set(none) == clusters | {"trained_with_gen", "published"}
    text = call("evaluate", on_images, "--samples", 40).output
    assert "Mean NMI of batches of 64" in text
    assert "FD(classifier)" in text
    assert "FID" not in text


def test_images_without_labels_have_no_figure_that_needs_them(on_images):
    images = tiny_images()
    np.savez(on_images / "tiny.npz", x_train=images.x_train.numpy(), x_test=images.x_test.numpy())
    figures = json.loads(call("evaluate", on_images, "--json").stdout)
    assert set(figures) == {"samples_failed", "trained_with_gen", "published"}
    assert "give Inception's weights" in figures["samples_failed"]
    assert "give Inception's weights" in " ".join(call("evaluate", on_images).output.split())
    assert "noise" in json.loads(call("ood", on_images, "--against", "noise", "--json").stdout)


@pytest.mark.parametrize("with_test_images", [True, False])
def test_samples_are_compared_with_images_without_labels(with_test_images, on_images, monkeypatch):
    images = tiny_images()
    parts = {"x_train": images.x_train.numpy()} | ({"x_test": images.x_test.numpy()} if with_test_images else {})
    np.savez(on_images / "tiny.npz", **parts)
    colours = Extractor("colours", "FID", "KID", lambda x: x.float().mean((2, 3)), torch.device("cpu"))
    monkeypatch.setattr("gedi_nesy.vision.evaluate.inception_extractor", lambda weights, device: colours)
    ours = ["evaluate", on_images, "--inception", "weights.pth", "--samples", 40]
    figures = json.loads(call(*ours, "--json").stdout)
    assert figures["samples"]["FID"] > 0
    assert ("test_images" in figures) == with_test_images  # nothing is compared with itself
    assert ("40 test images" in call(*ours).output) == with_test_images


def test_samples_of_a_run_without_gen_are_called_so(on_images, monkeypatch):
    monkeypatch.setattr(Recipe, "has_energy_model", False)
    assert not json.loads(call("evaluate", on_images, "--samples", 40, "--json").stdout)["trained_with_gen"]
    assert "Trained without L_GEN" in call("evaluate", on_images, "--samples", 40).output
    drawn = call("sample", on_images, "-n", 40, "--out", on_images / "grid.png")
    assert drawn.exit_code == 0
    assert "Trained without L_GEN" in drawn.stderr


@pytest.fixture
def compare_images(cifar, tmp_path, monkeypatch):
    """A comparison of two methods on images, whose lines it returns; called again it goes on from what there is."""
    monkeypatch.setattr("gedi_nesy.vision.classifier.cache_folder", lambda: tmp_path)
    monkeypatch.setattr("gedi_nesy.vision.evaluate.draw_images", lambda run, n, steps, **kind: draw_images(run, n, 1))
    settings = {"network.encoder": "resnet8-4", "train.steps": 1, "sampler.steps": 1, "examples": 20}
    few = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    wanted = ["compare", "--methods", "gedi,swav", "--datasets", "cifar10", "--data-dir", cifar, "--seeds", 1]
    wanted += ["--jobs", 1, "--out", tmp_path / "out", "--json", *few]

    def compare(*options):
        done = call(*wanted, *options)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)["table"]

    return compare


@pytest.mark.usefixtures("no_pictures")
def test_compare_evaluates_images_in_full(compare_images, tmp_path):
    lines = compare_images("--samples", 30, "--against", "noise")
    for line in lines:
        keys = {"nmi", "linear_probe", "knn", "samples.FD(classifier)", "samples.recall", "auroc.noise.energy"}
        assert keys <= set(line["figures"])
    assert lines[0]["published"]["linear_probe"]["centre"] == 0.63
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "Features and samples" in text
    assert "noise, max softmax" in text


@pytest.mark.usefixtures("no_pictures")
def test_compare_evaluates_what_is_new_when_asked_otherwise(compare_images, monkeypatch):
    first = compare_images("--samples", 30, "--against", "noise")
    monkeypatch.setattr("gedi_nesy.vision.evaluate.draw_images", None)  # from now on there are no samples
    without = compare_images("--samples", 0)[0]["figures"]
    assert "linear_probe" in without
    assert not [key for key in without if key.startswith(("samples", "auroc"))]
    assert compare_images("--samples", 30, "--against", "noise") == first  # one evaluation has not cost the other
    asked = []
    monkeypatch.setattr(
        "gedi_nesy.vision.evaluation.ood_auroc",
        lambda run, names, data: asked.extend(names) or ood_auroc(run, names, data),
    )
    more = compare_images("--samples", 30, "--against", "noise,rotated")
    assert asked == ["rotated", "rotated"]
    for line, known in zip(more, first, strict=True):
        assert {"auroc.rotated.energy", "samples.recall"} <= set(line["figures"])  # nothing was drawn for it
        assert known["figures"].items() <= line["figures"].items()


def test_what_an_evaluation_needs_is_looked_for_before_training(cifar, tmp_path):
    wanted = ["compare", "--methods", "swav", "--datasets", "cifar10", "--data-dir", cifar, "--out", tmp_path / "out"]
    refused = call(*wanted, "--against", "svnh")
    assert (refused.exit_code, refused.output.count("no dataset 'svnh'")) == (1, 1)
    assert not (tmp_path / "out").exists()
    assert "are for images" in call("compare", "--datasets", "moons", "--samples", 5, "--out", tmp_path / "out").output


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
        (["ood", "RUN", "--against", "noise,"], "'noise,' has an empty entry"),
        (["sample", "RUN", "--out", "samples.txt"], "samples.txt is no .png file"),
        (["train", "--clusters", "1"], "1 is not in the range 2<=x"),
        (["sample", "RUN", "--out", "nowhere/samples.png"], "there is no folder nowhere"),
    ],
)
def test_a_wrong_option_is_refused_before_any_work(arguments, sentence):
    result = call(*arguments)
    assert result.exit_code == 2
    assert sentence in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluate", "RUN", "--inception", "weights.pth"], "is a run on points; leave its weights out"),
        (["ood", "RUN", "--against", "mooons"], "no data set 'mooons'"),
        (["sample", "nowhere"], "not a run folder"),
        (["train", "--dataset", "own.npz", "--noise", "0.1"], "--noise is for toys, and own.npz is none"),
        (["train", "--dataset", "own.npz", "--set", "network.encoder=resnet8-4"], "own.npz can't be read"),
        (["train", "--dataset", "cifar11", "--set", "network.encoder=resnet8-4"], "no data set 'cifar11'"),
        (["train", "--set", "train.steps={a=1}"], "train.steps = {'a': 1}"),
        (
            ["train", "--set", "sampler.chains=20000"],
            "The recipe 'gedi': sampler.chains = 20000 needs",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_one_sentence(on_points, arguments, sentence):
    result = call(*(on_points if argument == "RUN" else argument for argument in arguments))
    assert result.exit_code == 1
    assert sentence in result.output
