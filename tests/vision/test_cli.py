import json

import pytest
from click.testing import CliRunner

from gedi_nesy.cli import main

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


def test_recipes_are_listed():
    assert "paper-gedi" in json.loads(call("recipes", "--json").stdout)
