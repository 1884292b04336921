import math

import pytest
import torch

from gedi_nesy.core.objective import Objective

OBJECTIVE = Objective(
    {"gen": 0.0, "nesy": 25.0, "prior": [[0.0, 400.0], [1.0, 40.0]]},
    optima={"nesy": 0.0, "prior": math.log(10), "gen": 1.0},
)


def test_total_is_the_weighted_sum_at_that_progress():
    losses = {"nesy": torch.tensor(2.0), "prior": torch.tensor(3.0)}
    assert OBJECTIVE(losses, progress=0.5).item() == pytest.approx(25 * 2 + 220 * 3)


def test_networks_side_by_side_are_summed_so_that_each_gets_its_own_gradient():
    losses = {"nesy": torch.tensor([2.0, 4.0]), "prior": torch.tensor([3.0, 1.0])}
    assert OBJECTIVE(losses, progress=1.0).item() == pytest.approx(25 * 6 + 40 * 4)


def test_terms_without_weight_are_not_asked_for():
    assert OBJECTIVE.active == {"nesy", "prior"}
    assert OBJECTIVE.optima == {"nesy": 0.0, "prior": math.log(10)}


def test_a_loss_without_a_term_is_named():
    with pytest.raises(ValueError, match="none for the losses \\['swav'\\]"):
        OBJECTIVE({"nesy": torch.tensor(1.0), "swav": torch.tensor(1.0)}, progress=0.0)


def test_an_optimum_without_a_term_is_refused():
    with pytest.raises(ValueError, match="optima of \\['inv'\\]"):
        Objective({"gen": 1.0}, optima={"inv": 0.0})
