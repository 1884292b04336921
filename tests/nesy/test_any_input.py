"""Runs on what a user has: colour pictures, vectors, networks of a user's own; trained, resumed, loaded and asked."""

import json
import signal
from functools import partial

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

import gedi_nesy as gn
from gedi_nesy.cli import main
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.train import resume
from gedi_nesy.runs.callbacks import Interrupted

pytestmark = pytest.mark.usefixtures("no_pictures")

RULE = "nn(shape, [X], Y, [0, 1]) :: shape(X, Y).\nsum(X, Y, S) :- shape(X, A), shape(Y, B), S is A + B.\n"
TINY = {
    "matching.chains": 4,
    "matching.sweeps": 2,
    "matching.neighbours": 2,
    "matching.separation": 0.0,
    "train.steps": 2,
    "student.steps": 2,
    "train.batch": 4,
    "student.batch": 4,
    "views": 1,
    "sampler.steps": 2,
    "sampler.chains": 2,
    "sampler.buffer": 4,
    "sampler.distorted": 2,
    "student.bf16": False,
}
OWN = """
from torch import nn
from torchvision.models import mobilenet_v3_small

def network(shape, classes):
    net = mobilenet_v3_small(num_classes=classes)
    net.features[0][0] = nn.Conv2d(shape[0], 16, 3, padding=1)
    return net
"""
TABLE = "X,Y,S\n" + "".join(f"{k}.png,{(k + 1) % 8}.png,1\n" for k in range(8))


class Flat(nn.Module):
    """A user's own module."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@pytest.fixture
def folder(tmp_path):
    """A rule, a table and eight colour icons of 12x14 pixels: red squares and blue bars on white."""
    (tmp_path / "sum.pl").write_text(RULE)
    (tmp_path / "table.csv").write_text(TABLE)
    (tmp_path / "own.py").write_text(OWN)
    for k in range(8):
        pixels = np.full((14, 12, 3), 255, np.uint8)
        pixels[3:10, 3:9] = (200, 0, 20 * k) if k % 2 else 255
        pixels[6:8, 2:10] = pixels[6:8, 2:10] if k % 2 else (0, 20 * k, 200)
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
    return tmp_path


def teach(folder, **settings):
    rule = {"program": str(folder / "sum.pl"), "query": "sum(X,Y,S)", "arguments": ("S",)}
    return gn.train(out=folder / "run", progress=False, notify=lambda text: None, **rule, **TINY, **settings)


def test_a_users_torchvision_network_on_a_folder_of_pngs_from_the_shell(folder):
    settings = [f"--set={key}={str(value).lower()}" for key, value in TINY.items()]
    command = ["train", "--program", folder / "sum.pl", "--query", "sum(X,Y,S)", "--argument", "S", "--data"]
    command += [folder / "table.csv", "--network", f"{folder / 'own.py'}:network", "--out", folder / "run", *settings]
    refused = CliRunner().invoke(main, [*map(str, command)])
    assert refused.exit_code == 1
    assert "--trust" in refused.output
    result = CliRunner().invoke(main, [*map(str, command), "--trust"])
    assert result.exit_code == 0, result.output
    assert "shape reads drawings, each colour of 14x12 pixels" in " ".join(result.output.replace("│", " ").split())
    predicted = CliRunner().invoke(main, ["predict", str(folder / "run"), str(folder / "1.png"), "--trust"])
    assert predicted.exit_code == 0, predicted.output
    with pytest.raises(UserError, match="is code that would be executed"):
        gn.load_run(folder / "run")
    (folder / "own.py").unlink()
    with pytest.raises(UserError, match=r"own.py:network is not there .* put it back"):
        gn.load_run(folder / "run", trust=True)


def test_a_module_class_from_python_on_colour_pictures(folder):
    run = teach(folder, data=folder / "table.csv", network=Flat)
    assert run.recipe.inputs["shape"].shape == (3, 14, 12)
    assert run.summary["matching"]["likeness"] == "shape"
    again = gn.load_run(folder / "run", network=Flat)
    assert torch.equal(run.energy([str(folder / "1.png")]), again.energy([str(folder / "1.png")]))
    assert again.sample(2, steps=1).shape == (2, 3, 14, 12)


def test_vectors_are_learned_from_arrays_that_the_run_keeps(folder):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    x = 4.0 * labels[:, None] + torch.randn(40, 6, generator=generator) + torch.tensor([100.0, 0, 0, 0, 0, 0])
    data = {"X": x[:20], "Y": x[20:], "S": (labels[:20] + labels[20:]).tolist()}
    run = teach(folder, data=data, network="mlp-8", **{"train.prior": "learned"})
    assert run.summary["matching"]["likeness"] == "features"
    assert run.summary["recipe"] == "gedi-nesy-vectors"
    loaded = gn.load_run(folder / "run")
    assert torch.equal(run.log_probs(x), loaded.log_probs(x))
    assert loaded.evaluate()["train_constraint_satisfaction"] == run.summary["train_constraint_satisfaction"]
    samples = loaded.sample(3, steps=1)
    assert samples.shape == (3, 6)
    assert samples[:, 0].mean() > 50  # in the units that were given
    np.savez(folder / "new.npz", x=x[:2].numpy())
    said = CliRunner().invoke(main, ["predict", str(folder / "run"), str(folder / "new.npz"), "--json"])
    rows = json.loads(said.stdout)
    assert [row["symbol"] for row in rows] == [str(symbol) for symbol in run.predict(x[:2])]
    assert rows[0]["verdict"] in ("familiar", "unusual", "foreign")
    foreign = CliRunner().invoke(main, ["ood", str(folder / "run"), "--json"])
    assert set(json.loads(foreign.stdout)) == {"exchanged", "noise"}
    drawn = CliRunner().invoke(main, ["sample", str(folder / "run"), "--out", str(folder / "samples.png")])
    assert drawn.exit_code == 1
    assert "Samples of vectors can't be drawn" in drawn.output


def test_a_table_of_vectors_by_name_is_scored_on_another_one(folder):
    generator = torch.Generator().manual_seed(0)
    np.savez(
        folder / "vectors.npz", names=[f"v{k}" for k in range(12)], features=torch.randn(12, 6, generator=generator)
    )
    for name, rows in {"few": range(8), "more": range(8, 12)}.items():
        lines = [f"v{k},v{(k + 1) % 12},1" for k in rows]
        (folder / f"{name}.csv").write_text("\n".join(["X,Y,S", *lines]))
    run = teach(folder, data=folder / "few.csv", features=str(folder / "vectors.npz"), network="mlp-8")
    scored = run.evaluate(test=folder / "more.csv")
    assert scored == run.evaluate(test=folder / "more.csv", features=folder / "vectors.npz")
    assert 0 <= scored["answer_accuracy"] <= 1


X, S = torch.zeros(4, 6), [1] * 4


@pytest.mark.parametrize(
    ("data", "settings", "sentence"),
    [
        ({"X": X, "Y": X, "S": S}, {"size": (9, 9)}, r"size goes with a table of image files"),
        ({"X": X, "Y": X, "S": S}, {"features": "f.npz"}, r"features goes with .* give arrays such as X_features"),
        ({"X": X, "Y": X, "S": S, "X_feature": X}, {}, r"The data have X_feature, .* \(did you mean 'X_features'\?\)"),
        ({"X": X, "Y": X, "S": S}, {"inputs.shape.kind": "picture"}, r"inputs.shape.kind is told from the data"),
        ({"X": X, "Y": X, "S": 1}, {}, r"S is 1; give one value for each example"),
        ({"X": [[1.0, 2.0], [3.0]], "Y": X, "S": S}, {}, r"X is \[2\] in row 1 and \[1\] in row 2; give all one shape"),
        ({"X": X, "Y": X[:, :4], "S": S}, {}, r"vector of 4 .* give all one length"),
        ({"X": X, "Y": X, "S": S}, {"network": nn.Linear(6, 3)}, r"The network is one Linear"),
        ({"X": X, "Y": X, "S": S}, {"network": partial(nn.Linear, 6)}, r"give a name, or a class or function"),
        ({"X": X, "Y": X, "S": S}, {"network": 3}, r"The network is 3; give a name"),
    ],
)
def test_data_and_networks_from_python_that_cant_be_used_are_named(data, settings, sentence, folder):
    with pytest.raises(UserError, match=sentence):
        teach(folder, data=data, **settings)


def test_a_picture_that_is_not_there_is_named_where_others_are(folder):
    table = (folder / "table.csv").read_text().splitlines()
    first = table[1].split(",")[0]
    (folder / "broken.csv").write_text("\n".join([table[0], table[1].replace(first, "gone.png"), *table[2:]]))
    names = sorted({cell for line in table[1:] for cell in line.split(",")[:2]} | {"gone.png"})
    np.savez(folder / "features.npz", names=names, features=np.random.default_rng(0).normal(size=(len(names), 5)))
    with pytest.raises(UserError, match=r"broken.csv, line 2: .*gone.png"):
        teach(folder, data=folder / "broken.csv", features=str(folder / "features.npz"), network="resnet8-4")
    (folder / "labels.csv").write_text("image,symbol\ngone.png,0\n")
    with pytest.raises(UserError, match=r"labels.csv, line 2: .*gone.png"):
        teach(folder, data=folder / "table.csv", labels=str(folder / "labels.csv"), network="resnet8-4")


def test_a_stopped_run_on_arrays_resumes_to_the_same_weights(folder):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(16, 6, generator=generator)
    data = {"X": x[:8], "Y": x[8:], "S": [1] * 8}
    whole = teach(folder, data=data, network="mlp-8")
    (folder / "run").rename(folder / "whole")

    def interrupt(row):
        if row["stage"] == "student" and "loss" in row:
            signal.raise_signal(signal.SIGINT)

    rule = {"program": str(folder / "sum.pl"), "query": "sum(X,Y,S)", "arguments": ("S",)}
    settings = {"out": folder / "run", "notify": lambda text: None, "log_every": 1, "network": "mlp-8"}
    with pytest.raises(Interrupted):
        gn.train(data=data, progress=interrupt, **rule, **TINY, **settings)
    resumed = resume(folder / "run", progress=False)
    assert torch.equal(resumed.log_probs(x), whole.log_probs(x))


def test_pictures_that_nothing_compares_are_learned_by_restarts_or_matched_by_features(folder):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (16, 3, 9, 9), generator=generator, dtype=torch.uint8)
    data = {"X": x[:8], "Y": x[8:], "S": [1] * 8}
    features = torch.randn(16, 5, generator=generator)
    beside = {"X_features": features[:8], "Y_features": features[8:]}
    alone = teach(folder, data=data, network="resnet8-4")
    assert alone.summary["recipe"] == "gedi-nesy-photographs-restarts"
    (folder / "run").rename(folder / "alone")
    run = teach(folder, data=data | beside, network="resnet8-4")
    assert run.summary["matching"]["likeness"] == "features"
    with pytest.raises(UserError, match=r"Nothing says which of the pictures .* are alike"):
        gn.train("gedi-nesy-few", data=data, program=str(folder / "sum.pl"), query="sum(X,Y,S)", arguments=("S",))
    with pytest.raises(UserError, match=r"There are no features of Y"):
        teach(folder, data=data | {"X_features": features[:8]})


def test_restarts_take_the_place_of_symbols_that_likeness_hardly_separates(folder):
    x = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
    data, said = {"X": x[:12], "Y": x[12:], "S": [0, 1, 2] * 4}, []
    rule = {"program": str(folder / "sum.pl"), "query": "sum(X,Y,S)", "arguments": ("S",)}
    settings = rule | TINY | {"matching.separation": 1.0}
    run = gn.train(data=data, out=folder / "run", progress=False, notify=said.append, **settings)
    assert run.summary["recipe"] == gn.load_run(folder / "run").recipe.recipe == "gedi-nesy-restarts"
    assert run.summary["unmatched"] < 1
    assert "this run takes the recipe gedi-nesy-restarts" in said[-1]
    kept = gn.train("gedi-nesy-vectors", data=data, out=folder / "kept", progress=False, notify=said.append, **settings)
    assert "features that hardly separate the symbols" in kept.summary["certificate"]["failures"]


def test_a_network_that_the_rule_does_not_have_is_refused(folder):
    with pytest.raises(UserError, match=r"The rule has no network 'shap' \(did you mean 'shape'\?\)"):
        teach(folder, data=folder / "table.csv", network={"shap": "resnet8-4"})


def test_networks_of_one_rule_read_pictures_and_vectors_side_by_side(folder):
    (folder / "sum.pl").write_text(
        "nn(shape, [X], Y, [0, 1]) :: shape(X, Y).\nnn(sign, [O], Y, [plus, minus]) :: sign(O, Y).\n"
        "sum(X, O, S) :- shape(X, A), sign(O, plus), S is A + 1.\n"
        "sum(X, O, S) :- shape(X, A), sign(O, minus), S is A - 1.\n"
    )
    generator = torch.Generator().manual_seed(0)
    icons = [np.asarray(Image.open(folder / f"{k}.png")) for k in range(8)]
    data = {"X": np.stack(icons), "O": torch.randn(8, 5, generator=generator).numpy(), "S": [1, 2, 0, -1] * 2}
    rule = {"program": str(folder / "sum.pl"), "query": "sum(X,O,S)", "arguments": ("S",)}
    run = gn.train(data=data, out=folder / "run", progress=False, notify=lambda text: None, **rule, **TINY)
    assert run.recipe.network == {"shape": "resnet8-32", "sign": "mlp-256"}
    assert run.summary["matching"]["likeness"] == "shape and features"
    loaded = gn.load_run(folder / "run")
    assert loaded.predict(data["O"], "sign") == run.predict(data["O"], "sign")
    assert torch.equal(
        loaded.energy(torch.from_numpy(data["X"]).permute(0, 3, 1, 2), "shape"),
        run.energy(torch.from_numpy(data["X"]).permute(0, 3, 1, 2), "shape"),
    )
    assert loaded.sample(2, steps=1, network="sign").shape == (2, 5)
    with pytest.raises(UserError, match=r"The run takes images of shape \[images, 3, 14, 12\]"):
        loaded.predict(torch.zeros(1, 3, 20, 20), "shape")
    with pytest.raises(UserError, match="Name one of the run's networks: shape, sign"):
        loaded.predict(data["O"])
