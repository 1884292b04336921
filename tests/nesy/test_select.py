import pytest
import torch

from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.select import score_restarts, select_restart
from tests.nesy.readers import readers

RIGHT = list(range(10))
SWAPPED = [0, 2, 1, 3, 4, 6, 5, 7, 9, 8]  # a trap of the addition rule: it satisfies many triples
ALMOST = [0, 1, 2, 3, 4, 5, 6, 7, 9, 8]
RECIPE = load_recipe(
    "gedi-nesy", {"views": 2, "agreement": 0.9, "train.warp": False, "train.noise": 0.001, "scale": "unit"}
)


def select(candidates, rule, loader):
    return select_restart(score_restarts(candidates, rule, loader, RECIPE), RECIPE)


def test_the_restart_that_satisfies_the_rule_is_chosen_and_the_trapped_one_dropped(addition, loader):
    selection, targets = select(readers(SWAPPED, RIGHT, ALMOST), addition, loader)
    assert selection.best == 1
    assert selection.nll[1] < 0.1 < selection.nll[0]
    assert selection.agreement[1] == 1.0
    assert selection.agreement[0] < selection.agreement[2] < 0.9
    assert selection.kept == [1]
    for key, target in targets.items():
        assert torch.equal(target.argmax(-1), loader.examples.symbols[key])
        torch.testing.assert_close(target.sum(-1), torch.ones(40))


def test_the_lead_is_over_restarts_with_other_symbols(addition, loader):
    selection, _ = select(readers(RIGHT, ALMOST, SWAPPED, RIGHT), addition, loader)
    assert selection.kept == [0, 3]
    assert selection.lead == pytest.approx(min(selection.nll[1], selection.nll[2]) - min(selection.nll))
    assert select(readers(RIGHT, RIGHT), addition, loader)[0].lead is None


def test_support_is_what_another_restart_thinks(addition, loader):
    assert select(readers(RIGHT, RIGHT), addition, loader)[0].support == 1.0
    assert select(readers(RIGHT, SWAPPED), addition, loader)[0].support < 0.8
    assert select(readers(RIGHT), addition, loader)[0].support is None


def test_the_likelihood_is_that_of_the_rule(addition, loader):
    """For a certain reader -log P(rule) is 3 times the cost of its certainty."""
    selection, _ = select(readers(RIGHT), addition, loader)
    log_right = torch.eye(10)[0].mul(8.0).log_softmax(-1)[0]
    # other digit triples that satisfy the rule add a little to exp(3 * log_right)
    assert 0 <= -3 * log_right - selection.nll[0] < 1e-4
