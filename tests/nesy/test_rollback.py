"""A rule's training that runs away goes back to an earlier state, or ends with one sentence."""

import pytest
import torch
from safetensors.torch import load_file

from gedi_nesy.core.chains import Chains
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.train import resume, train
from tests.nesy.test_train import SMALL, Killed

GUARDED = SMALL | {
    "examples": 15,
    "matching.chains": 8,
    "matching.sweeps": 5,
    "guard.every": 5,
    "checkpoint_seconds": 0,
}

pytestmark = pytest.mark.usefixtures("no_pictures")


class Wild(Chains):
    """Chains that once, after their twelfth call, leave the finite numbers."""

    calls = 0

    def advance(self):
        Wild.calls += 1
        indices, samples = super().advance()
        return indices, samples * torch.nan if Wild.calls == 12 else samples


def train_wild(monkeypatch, out, **settings):
    monkeypatch.setattr("gedi_nesy.nesy.learner.Chains", Wild)
    monkeypatch.setattr(Wild, "calls", 0)
    return train("gedi-nesy-few", out=out, **GUARDED | settings)


def test_it_goes_back_and_finishes(monkeypatch, tmp_path):
    run = train_wild(monkeypatch, tmp_path / "run", log_every=1)
    (back,) = run.summary["returns"]
    assert (back["stage"], back["factor"]) == ("student", 0.5)
    assert back["step"] in (0, 5)  # the older of two states that were kept
    rows = run.folder.read_metrics()
    steps = [row["step"] for row in rows if row["stage"] == "student" and "return" not in row]
    assert steps == list(range(1, 31))  # what was gone back over is gone from the metrics
    assert [row for row in rows if "return" in row] == [back]
    assert all(p.isfinite().all() for p in run.networks.parameters())


def test_energies_too_far_apart_end_a_run_that_may_not_go_back(tmp_path):
    with pytest.raises(UserError, match="nats apart, after 2 returns to an earlier state"):
        train("gedi-nesy-few", out=tmp_path / "run", **GUARDED | {"guard.largest_gap": 1e-6, "guard.retries": 2})


def test_a_run_that_went_back_resumes(monkeypatch, tmp_path):
    whole = train_wild(monkeypatch, tmp_path / "whole")

    def stop(row):
        if (row["stage"], row["step"]) == ("student", 20):
            raise Killed

    with pytest.raises(Killed):
        train_wild(monkeypatch, tmp_path / "run", progress=stop)
    resumed = resume(tmp_path / "run")
    assert resumed.summary["returns"] == whole.summary["returns"]
    first, second = (load_file(run.folder / "model.safetensors") for run in (whole, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
