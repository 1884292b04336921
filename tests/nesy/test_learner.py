"""What is trained of a rule, phase by phase."""

import pytest
import torch
from safetensors.torch import load_file

from gedi_nesy.nesy import results
from gedi_nesy.nesy.learner import Learner
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.train import resume, train

RECIPE = "gedi-nesy-restarts"
# Each restart learns a probability of its own, which must outlive its networks.
NOISY = """nn(digits,[X],D,[0,1,2,3,4,5,6,7,8,9]) :: digit(X,D).
t(0.2)::slip.
sum(X,S) :- digit(X,S), \\+slip.
sum(X,S) :- digit(X,D), slip, S is D+1.
query(sum(X,S)).
"""
TINY = {
    "dataset": "digits",
    "arguments": ["S"],
    "examples": 20,
    "restarts": 2,
    "views": 1,
    "log_every": 1,
    "checkpoint_seconds": 0.0,
    "train.steps": 2,
    "student.steps": 2,
    "student.weights.gen": 0.0,
    "student.weights.energy_l2": 0.0,
}


def test_the_phases_are_the_cycles_and_then_the_student(addition, loader):
    recipe = load_recipe(RECIPE, {"seed": 7, "train.steps": None, "train.epochs": 3, "restarts": 1})
    phases = Learner(recipe, addition, loader.examples, print).phases
    assert [phase.name for phase in phases] == ["train 1", "train 2", "student"]
    assert [phase.seed for phase in phases] == [7 * 3, 7 * 3 + 1, 7 * 3 + 2]
    assert [phase.steps for phase in phases] == [6, 6, recipe.student.steps]  # forty examples, twenty a step


def test_a_learned_prior_follows_the_teacher_of_each_restart(addition, loader):
    learner = Learner(load_recipe(RECIPE, {"train.prior": "learned"}), addition, loader.examples, print)
    torch.testing.assert_close(learner.marginals[0]["X"], addition.marginals()["X"])
    true = {key: torch.eye(10)[symbols] for key, symbols in loader.examples.symbols.items()}
    zeros = {key: torch.eye(10)[:1].expand(len(loader), 10) for key in true}
    learner.teachers = [true, zeros]
    for seen, teacher in zip(learner.marginals, (true, zeros), strict=True):
        # forty examples, and twenty more that follow the rule
        torch.testing.assert_close(seen["X"], (teacher["X"].sum(0) + 20 * addition.marginals()["X"]) / 60)


class Killed(Exception):
    """Stands for whatever ends a process."""


def kill_in(stage):
    """A progress that ends the process after the stage's last step, before that is saved."""

    def stop(row):
        if (row["stage"], row["step"]) == (stage, 2):
            raise Killed

    return stop


def test_a_run_killed_in_every_phase_ends_as_an_unbroken_one(tmp_path, monkeypatch):
    (tmp_path / "noisy.pl").write_text(NOISY)
    monkeypatch.setattr(results, "draw_pictures", lambda *of_the_run: None)
    settings = TINY | {"program": str(tmp_path / "noisy.pl")}
    whole = train(RECIPE, out=tmp_path / "whole", notify=lambda notice: None, progress=False, **settings)
    with pytest.raises(Killed):
        train(RECIPE, out=tmp_path / "killed", notify=lambda notice: None, progress=kill_in("train 1"), **settings)
    for stage in ("train 2", "student"):
        with pytest.raises(Killed):
            resume(tmp_path / "killed", progress=kill_in(stage))
    killed = resume(tmp_path / "killed", progress=False)
    weights, others = (load_file(run.folder / "model.safetensors") for run in (whole, killed))
    assert all(torch.equal(weights[name], others[name]) for name in others)
    rows, other_rows = ([(row["stage"], row["loss"]) for row in run.folder.read_metrics()] for run in (whole, killed))
    assert rows == other_rows
    assert killed.summary["restarts"] == whole.summary["restarts"]
