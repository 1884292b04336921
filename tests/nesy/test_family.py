"""Each member of Section 2's family beside a rule: three steps, a kill, and the report."""

import math

import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.methods import FAMILY
from gedi_nesy.nesy.candidates import Candidates, Shape
from gedi_nesy.nesy.recipe import recipe_for
from gedi_nesy.nesy.train import resume, train
from gedi_nesy.report.html import report_html

SHORT = {"dataset": "digits", "log_every": 1, "checkpoint_seconds": 0.0, "train.epochs": None, "train.steps": 3}


class Killed(BaseException):
    """Stands in for a kill."""


def kill_at_2(row):
    if row.get("step") == 2:
        raise Killed


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", FAMILY)
def test_a_killed_run_is_resumed_and_its_report_names_its_terms(name, tmp_path):
    recipe = recipe_for(f"{name}+nesy", 100)
    with pytest.raises(Killed):
        train(recipe, out=tmp_path / "run", progress=kill_at_2, **SHORT)
    run = resume(tmp_path / "run", progress=False)
    rows = run.folder.read_metrics()
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert set(rows[-1]["loss"]) == {"nesy", name}
    assert all(map(math.isfinite, rows[-1]["loss"].values()))
    assert run.summary["method"] == f"{name}+nesy"
    report_html(tmp_path / "report.html", run.summary, run.recipe.to_toml(), [])
    assert f"{name}+nesy" in (tmp_path / "report.html").read_text()


def test_embeddings_have_the_dimensions_that_were_asked_for():
    candidates = Candidates({"digits": Shape(10)}, 2, 0, dim=16)
    features = candidates.features("digits", torch.rand(5, 1, 28, 28))
    assert candidates.project("digits", features).shape == (2, 5, 16)


def test_w_mse_says_what_it_lacks_in_a_small_batch(tmp_path):
    with pytest.raises(UserError, match="W-MSE whitens 84 dimensions, which needs a batch of more images than 60"):
        train(recipe_for("wmse+nesy", 100), out=tmp_path / "run", progress=False, **SHORT, dim=84)
