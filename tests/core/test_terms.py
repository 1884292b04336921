"""The table of terms: what it says of a loss is true of the loss, and a new row reaches the recipes."""

import math

import pytest
import torch

from gedi_nesy.core import terms
from gedi_nesy.core.losses import barlow_loss, energy_l2_loss, invariance_loss
from gedi_nesy.core.terms import TERMS, Term, needing, optima, terms_with
from gedi_nesy.runs.weights import TermWeights, with_terms


def test_a_loss_reaches_the_optimum_of_its_row():
    certain = torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]]).clamp_min(-1e4)
    views = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])  # dimensions that are not correlated
    reached = {
        "inv": invariance_loss(certain, certain),
        "barlow": barlow_loss(views, views),
        "energy_l2": energy_l2_loss(torch.full((3, 2), -math.log(2)), torch.full((3, 2), -math.log(2))),
    }
    for name, value in reached.items():
        assert value.item() == pytest.approx(TERMS[name].optimum, abs=1e-4)


def test_optima_of_a_run_take_the_place_of_the_tables():
    assert optima(["nesy", "gen", "prior"], {"prior": 2.3, "teacher": 0.1}, 8) == {"nesy": 0.0, "prior": 2.3}
    assert optima(["teacher"], {"teacher": None}, 8) == {}
    assert optima(["corinfomax"], {}, 8)["corinfomax"] == pytest.approx(2 * math.log(8))


def test_what_needs_a_rule_or_none_is_in_one_track_only():
    assert set(TERMS) - set(terms_with(rule=True)) == {"certain"}
    assert set(TERMS) - set(terms_with(rule=False)) == {"nesy", "labels", "distorted"}


def test_a_new_row_has_a_weight_in_both_tracks(monkeypatch):
    monkeypatch.setattr(terms, "TERMS", {**TERMS, "other": Term("of two views", needs=("embeddings",))})

    @with_terms(rule=False)
    class Weights(TermWeights):
        """Of all terms."""

    weights = Weights(other=[[0.0, 0.0], [0.5, 2.0]], inv=1.0)
    assert weights.other(0.25) == 1.0
    assert weights.used("embeddings") == ["other"]
    assert weights.always() == ["inv"]
    assert needing("embeddings")[-1] == "other"
