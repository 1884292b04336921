"""The paper's Theorem 1 and Proposition 1 on a space small enough to sum over.

Eight points, of which the data uses four: two pairs of an image (even) and its augmentation (odd). Each failure mode is
built by hand as a table of logits, and attains the optimum of exactly the losses that Table 1 says.
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gedi_nesy.core.losses import invariance_loss, prior_loss
from gedi_nesy.core.objective import TOLERANCE, diagnose, uniform_log_prior

CERTAIN = torch.tensor([[0.0, -60.0], [-60.0, 0.0]])  # log-probabilities of a certain prediction of label 0, 1
IMAGES, VIEWS = torch.tensor([0, 2]), torch.tensor([1, 3])
DENSITY = torch.tensor([0.4, 0.4, 0.1, 0.1] + [0.0] * 4)  # of the data
TRUE_ENERGY = DENSITY.clamp_min(1e-30).log()[:, None]  # logsumexp f(x) = log p(x)

MODES = {
    "none": TRUE_ENERGY + CERTAIN[[0, 0, 1, 1, 0, 0, 0, 0]],
    "representation collapse, certain": torch.zeros(8, 1) + CERTAIN[[0] * 8],
    "representation collapse, uniform": torch.zeros(8, 2),
    "cluster collapse": TRUE_ENERGY + CERTAIN[[0] * 8],
    "label inconsistency": TRUE_ENERGY + CERTAIN[[0, 1, 1, 0, 0, 0, 0, 0]],
}
# Table 1: which losses each mode leaves at their optimum
TABLE = {
    "none": {"gen", "inv", "prior"},
    "representation collapse, certain": {"inv"},
    "representation collapse, uniform": {"prior"},
    "cluster collapse": {"gen", "inv"},
    "label inconsistency": {"gen", "prior"},
}


def gaps(logits):
    """Each loss minus its optimum."""
    log_probs = logits.log_softmax(-1)
    log_density = logits.logsumexp(-1).log_softmax(0)  # the normaliser is a sum over all eight points
    entropy = torch.special.entr(DENSITY).sum()
    return {
        "gen": (-(DENSITY * log_density).sum() - entropy).item(),
        "inv": invariance_loss(log_probs[VIEWS], log_probs[IMAGES]).item(),
        "prior": prior_loss(log_probs[:4], uniform_log_prior(2)).item() - math.log(2),
    }


@pytest.mark.parametrize("mode", MODES)
def test_each_failure_mode_attains_exactly_the_optima_of_table_1(mode):
    attained = {name for name, gap in gaps(MODES[mode]).items() if abs(gap) < 1e-4}
    assert attained == TABLE[mode]


@pytest.mark.parametrize("mode", MODES)
def test_the_diagnosis_names_the_failure(mode):
    log_probs = MODES[mode].log_softmax(-1)
    many = (20, 1)  # two images alone would be in one cluster by chance
    found = diagnose(log_probs[IMAGES].repeat(many), log_probs[VIEWS].repeat(many), uniform_log_prior(2))
    expected = set() if mode == "none" else {mode.partition(",")[0]}
    # A constant prediction carries no information whatever made it constant, and a certain one is one cluster.
    if mode in ("representation collapse, certain", "cluster collapse"):
        expected = {"representation collapse", "cluster collapse"}
    if mode == "representation collapse, uniform":
        expected.add("uncertain predictions")
    assert set(found.failures) == expected
    assert (found.certificate < TOLERANCE) == (mode == "none")


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=6))
def test_proposition_1_no_constant_prediction_comes_near_the_joint_optimum(weights):
    probs = torch.tensor(weights, dtype=torch.float64)
    log_probs = (probs / probs.sum()).log().expand(5, -1)
    prior = uniform_log_prior(len(weights)).double()
    joint = invariance_loss(log_probs, log_probs) + prior_loss(log_probs, prior)
    assert joint.item() - math.log(len(weights)) >= math.log(2) - 1e-6


def test_a_small_sample_of_a_balanced_labelling_is_no_collapse():
    """The batch mean of n certain predictions strays from the prior by chance alone."""
    prior = torch.arange(10, 0, -1) / 55
    flagged = 0
    for seed in range(50):
        labels = torch.multinomial(prior, 90, replacement=True, generator=torch.Generator().manual_seed(seed))
        log_probs = torch.full((90, 10), -30.0).scatter(1, labels[:, None], 0.0).log_softmax(-1)
        flagged += bool(diagnose(log_probs, log_probs, prior.log()).failures)
    assert flagged <= 5
