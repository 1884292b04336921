"""One run end to end, on real images, small enough for a test."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from gedi_nesy.errors import UserError
from gedi_nesy.nesy.run import load_run
from gedi_nesy.nesy.train import resume, train
from gedi_nesy.runs.callbacks import Interrupted

ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
RECIPE = "gedi-nesy-restarts"  # has more phases than the others
SMALL = {
    "dataset": "digits",
    "examples": 60,
    "restarts": 2,
    "views": 2,
    "log_every": 10,
    "train.steps": 20,
    "student.steps": 30,
    "sampler.steps": 2,
}


PLACES = [(f"train {k}", n) for k in (1, 2) for n in (10, 20)] + [("student", n) for n in (10, 20, 30)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rows = []
    finished = train(
        RECIPE, out=tmp_path_factory.mktemp("run"), progress=rows.append, notify=lambda text: None, **SMALL
    )
    return finished, rows


def test_the_run_folder_is_complete(run):
    finished, rows = run
    names = {path.name for path in finished.folder.path.iterdir() if not path.name.startswith(".")}
    assert names == {
        "config.toml",
        "program.pl",
        "metrics.jsonl",
        "checkpoint.pt",
        "model.safetensors",
        "summary.json",
        "losses.png",
        "samples.png",
        "neighbours.png",
        "energies.png",
        "examples.png",
        "confusion.png",
        "reliability.png",
        "report.html",
    }
    logged = [row for row in rows if "loss" in row]
    assert [(row["stage"], row["step"]) for row in logged] == PLACES
    assert logged == finished.folder.read_metrics()


def test_whoever_watches_is_told_of_every_phase(run):
    named = list(dict.fromkeys(row["stage"] for row in run[1]))
    before, after = ["compiling the rule", "reading the data"], ["evaluating", "drawing the pictures"]
    assert named == [*before, "train 1", "train 2", "judging the restarts", "student", *after]


def test_the_summary_says_what_was_run(run):
    summary = run[0].summary
    assert (summary["dataset"], summary["examples"], summary["method"]) == ("digits", 60, "gedi+nesy")
    assert summary["steps"] == 70
    for name in ("accuracy", "nmi", "cluster_accuracy", "constraint_satisfaction"):
        assert 0 <= summary[name] <= 1
    assert summary["cluster_accuracy"] >= summary["accuracy"]
    assert summary["test_constraint_log_likelihood"] < 0
    assert not summary["certificate"]["certified"]  # thirty steps teach nobody
    assert summary["certificate"]["D"] > 0.03


def test_a_loaded_run_predicts_as_the_trained_one_did(run, images):
    finished, _ = run
    loaded = load_run(finished.folder.path)
    x = images.x_test[:20]
    assert torch.equal(loaded.log_probs(x), finished.log_probs(x))
    assert loaded.predict(x) == [int(k) for k in loaded.log_probs(x).argmax(-1)]
    torch.testing.assert_close(loaded.energy(x), -loaded.networks["digits"](loaded.scale.to_inputs(x)).logsumexp(-1))
    assert loaded.evaluate()["accuracy"] == finished.summary["accuracy"]


def test_deepproblog_answers_with_the_trained_network(run, images):
    finished, _ = run
    answers = finished.query("addition(tensor(test(0)),tensor(test(1)),tensor(test(2)))")
    log_probs = finished.log_probs(finished.images().x_test[:3])
    a, b, c = log_probs
    expected = sum((a[i] + b[j] + c[i + j]).exp() for i in range(10) for j in range(10 - i))
    assert list(answers.values()) == [pytest.approx(expected.item(), rel=1e-5)]


def test_samples_are_images_and_repeat_with_their_seed(run):
    samples = run[0].sample(4, steps=3, seed=5)
    assert samples.shape == (4, 1, 28, 28)
    assert 0 <= samples.min() < samples.max() <= 1
    assert torch.equal(samples, run[0].sample(4, steps=3, seed=5))


def test_a_finished_run_is_not_resumed_and_an_old_run_not_overwritten(run):
    folder = run[0].folder.path
    before = (folder / "summary.json").read_bytes()
    with pytest.raises(UserError, match="is finished"):
        resume(folder)
    with pytest.raises(UserError, match="not empty"):
        train(RECIPE, out=folder, **SMALL)
    assert (folder / "summary.json").read_bytes() == before


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"program": "adition"}, "adition"),
        ({"dataset": "mnits"}, "mnits"),
        ({"examples": 100_000}, "more than the 1397 images"),
        ({"device": "tpu"}, "tpu"),
        ({"recipe": "gedi-nesy-few", "examples": 2, "cycles": 1}, "more examples"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_written(overrides, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        train(out=tmp_path / "run", **({"recipe": RECIPE} | SMALL | overrides))
    assert not (tmp_path / "run").exists()


def test_killed_runs_end_with_the_weights_of_an_uninterrupted_one(run, tmp_path):
    out = tmp_path / "run"
    settings = [f"--set={key}={value}" for key, value in (SMALL | {"checkpoint_seconds": 0.0}).items()]
    command = [sys.executable, "-m", "gedi_nesy", "train", "--recipe", RECIPE, "--out", str(out), *settings]
    for stage in ("train 2", "student"):  # one kill in each
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ONE_THREAD)
        wait_for(out / "metrics.jsonl", stage, process)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (out / "summary.json").exists()
        command = [sys.executable, "-m", "gedi_nesy", "train", "--resume", str(out)]
    resume(out, progress=False)
    whole = load_file(run[0].folder / "model.safetensors")
    resumed = load_file(out / "model.safetensors")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in rows] == [row["loss"] for row in run[1] if "loss" in row]


def wait_for(metrics, stage, process):
    while not (metrics.exists() and f'"stage": "{stage}"' in metrics.read_text()):
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.usefixtures("no_pictures")
def test_ctrl_c_while_symbols_are_matched_leaves_a_run_that_starts_again(tmp_path):
    few = SMALL | {"examples": 15, "matching.chains": 8, "matching.sweeps": 5}
    matched = []

    def interrupt(row):
        matched.append((row["stage"], row["step"], row["steps"]))
        if row["step"] == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        train("gedi-nesy-few", out=tmp_path / "run", progress=interrupt, **few)
    assert matched[-2:] == [("matching", 1, 5), ("matching", 2, 5)]
    assert resume(tmp_path / "run").summary["matching"]["chains"] >= 1


def test_ctrl_c_while_pictures_are_drawn_is_heard_at_once(tmp_path):
    def interrupt(row):
        if row["stage"] == "drawing the pictures":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        train(RECIPE, out=tmp_path / "run", progress=interrupt, **SMALL)
    assert not (tmp_path / "run" / "summary.json").exists()
    seen = []
    assert resume(tmp_path / "run", progress=seen.append).summary["steps"] == 70
    assert [row["stage"] for row in seen if row.get("loss")] == []  # what was trained is kept


def test_a_run_whose_first_stage_has_collapsed_stops_there(tmp_path):
    """On 30 examples of addition, the rule alone soon calls all images 0."""
    alone = SMALL | {"examples": 30, "train.weights.prior": 0, "train.steps": 150, "cycles": 1, "restarts": 1}
    with pytest.raises(UserError, match=r"The first stage has collapsed: .* another --seed"):
        train(RECIPE, out=tmp_path / "run", **alone)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {row["stage"] for row in rows} == {"train"}


class Killed(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("place", [("train", 10), ("student", 20)])
@pytest.mark.usefixtures("no_pictures")
def test_a_run_on_matched_symbols_resumes(place, tmp_path):
    few = SMALL | {"examples": 15, "matching.chains": 8, "matching.sweeps": 5, "checkpoint_seconds": 0.0}

    def stop(row):
        if (row["stage"], row["step"]) == place:
            raise Killed

    whole = train("gedi-nesy-few", out=tmp_path / "whole", **few)
    with pytest.raises(Killed):
        train("gedi-nesy-few", out=tmp_path / "stopped", progress=stop, **few)
    resumed = resume(tmp_path / "stopped")
    assert resumed.summary["matching"] == whole.summary["matching"]
    assert resumed.summary["certificate"] == whole.summary["certificate"]
    weights = [load_file(run.folder / "model.safetensors") for run in (whole, resumed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.usefixtures("no_pictures")
def test_older_run_folders_are_read(run, images, tmp_path):
    """They don't say their track, and have settings that are none any more."""
    folder = shutil.copytree(run[0].folder.path, tmp_path / "old")
    config = (folder / "config.toml").read_text()
    assert 'track = "rule"\n' in config
    rest = config.replace('track = "rule"\n', "")
    (folder / "config.toml").write_text("rounds = 2\nwidth = 1\n" + rest)
    x = images.x_test[:20]
    assert torch.equal(load_run(folder).log_probs(x), run[0].log_probs(x))
    (folder / "summary.json").unlink()
    with pytest.raises(UserError, match="rounds is no longer a setting; only 1"):
        resume(folder)
    (folder / "config.toml").write_text("rounds = 1\n" + rest)
    assert resume(folder, progress=False).summary["accuracy"] == run[0].summary["accuracy"]
