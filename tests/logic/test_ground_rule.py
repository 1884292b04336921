"""Bounds and samples of rules that can be compiled, too, beside their exact probability."""

import pytest
import torch

import gedi_nesy as gn
from gedi_nesy.logic.compile import NoDiagram
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground_rule import GroundRule

RULES = {
    "addition": (None, (), None),
    "addition_sum": (None, ("S",), {"S": [3, 9, 12]}),
    "addition_digits": (None, ("S:3",), {"S": [42, 150, 7]}),
    "sudoku": (None, (), None),
}
NEGATED = "0.4::a. 0.3::b. c :- \\+a. c :- b. d :- c, \\+b. evidence(c)."
CYCLE = "0.4::rain. 0.1::snow. 0.2::rain :- snow. 0.1::snow :- rain. any :- rain. any :- snow."


def inputs_of(rule, batch=3):
    generator = torch.Generator().manual_seed(0)
    logits = {v.key: torch.randn(batch, len(v.domain), generator=generator).double() * 2 for v in rule.variables}
    return {key: values.requires_grad_() for key, values in logits.items()}


def log_probs(logits):
    return {key: values.log_softmax(-1) for key, values in logits.items()}


@pytest.mark.parametrize("name", RULES)
def test_bounds_hold_close_with_more_nodes_and_meet(name):
    query, arguments, values = RULES[name]
    exact, rule = Constraint.from_file(name, query, arguments), GroundRule.from_file(name, query, arguments)
    logits = inputs_of(exact)
    log_prob = exact.log_prob(log_probs(logits), values)
    lower, upper = torch.full((3,), -torch.inf), torch.zeros(3)
    for nodes in (1, 3, 20, 100, 200, 400, 10_000):
        bounds = rule.bounds(log_probs(logits), values, nodes=nodes)
        assert bounds.nodes <= nodes
        assert (lower <= bounds.lower + 1e-12).all()
        assert (bounds.lower <= log_prob + 1e-12).all()
        assert (log_prob <= bounds.upper + 1e-12).all()
        assert (bounds.upper <= upper + 1e-12).all()
        lower, upper = bounds.lower, bounds.upper
    torch.testing.assert_close(lower, log_prob)
    torch.testing.assert_close(upper, log_prob)
    ours, theirs = (torch.autograd.grad(x.sum(), list(logits.values()), retain_graph=True) for x in (upper, log_prob))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("program", "query", "expected"),
    [(NEGATED, "d", 0.42 / 0.72), (NEGATED, "b", 0.3 / 0.72), (CYCLE, "any", 0.46)],
)
def test_evidence_negation_and_cycles_are_bounded(program, query, expected):
    """d: neither a nor b, .6 x .7; the evidence not a or b, 1 - .4 x .7."""
    rule = GroundRule(program, query)
    for nodes in (1, 2, 3):
        bounds = rule.bounds({}, nodes=nodes)
        assert bounds.lower.exp().item() - 1e-12 <= expected <= bounds.upper.exp().item() + 1e-12
    full = rule.bounds({})
    assert (full.lower.exp().item(), full.upper.exp().item()) == pytest.approx((expected, expected))


def test_one_state_expanded_bounds_by_hand():
    """Of two coins the first is known to count: heads, .3, or else both must be tails."""
    rule = GroundRule("0.3::a. 0.6::b. q :- a. q :- \\+b.", "q")
    bounds = rule.bounds({}, nodes=1)
    first_asks_for_a = bounds.lower.exp().item() == pytest.approx(0.3)
    assert (bounds.lower.exp().item(), bounds.upper.exp().item()) == pytest.approx(
        (0.3, 1.0) if first_asks_for_a else (0.4, 1.0)
    )
    assert str(bounds).startswith("bounds of log P by 1 nodes: [")


@pytest.mark.parametrize("name", ["addition", "addition_sum", "sudoku"])
def test_samples_agree_within_four_standard_errors(name):
    query, arguments, values = RULES[name]
    exact, rule = Constraint.from_file(name, query, arguments), GroundRule.from_file(name, query, arguments)
    logits = inputs_of(exact)
    estimate = rule.sampled(
        log_probs(logits), values, draws=4000, nodes=1500, generator=torch.Generator().manual_seed(1)
    )
    log_prob = exact.log_prob(log_probs(logits), values)
    assert ((estimate.log_prob - log_prob).abs() <= 4 * estimate.error).all()
    for key, log_posterior in exact.posterior(log_probs(logits), values).items():
        p = log_posterior.exp()
        error = (p * (1 - p) / estimate.accepted.unsqueeze(1)).sqrt()
        assert ((estimate.posterior[key] - p).abs() <= 4 * error + 1e-9).all()
        assert estimate.posterior_error[key].shape == p.shape
    ours, theirs = (torch.autograd.grad(x.sum(), list(logits.values())) for x in (estimate.log_prob, log_prob))
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() <= 4 * 0.5 / estimate.accepted.min() ** 0.5


def test_samples_teach_a_probability():
    """The gradient of log P(heads or tails, tails) by the logit of t(0.5) is that of the exact engine."""
    program = "t(0.5)::a. 0.5::b. q :- a. q :- b. query(q)."
    exact, rule = Constraint(program), GroundRule(program)
    estimate = rule.sampled({}, draws=20_000, nodes=1, generator=torch.Generator().manual_seed(0))
    estimate.log_prob.sum().backward()
    exact.log_prob({}).sum().backward()
    torch.testing.assert_close(rule.weights.logits[0].grad, exact.weights.logits[0].grad, atol=0.02, rtol=0)


def test_a_refused_rule_is_told_of_bounds():
    """Three images apart: of six symbols, all equally likely, 5/6 x 4/6 of the choices."""
    program = (
        "nn(digits,[X],Y,[1,2,3,4,5,6]) :: digit(X,Y). apart(X,Y) :- digit(X,A), digit(Y,B), A \\= B. "
        "different(X,Y,Z) :- apart(X,Y), apart(Y,Z), apart(X,Z). query(different(X,Y,Z))."
    )
    with pytest.raises(NoDiagram, match=r"check --nodes 1000 .*GroundRule, bound its probability"):
        Constraint(program, max_nodes=10)
    even = {name: torch.full((1, 6), 1 / 6, dtype=torch.float64).log() for name in "XYZ"}
    few, all_ = (gn.GroundRule(program).bounds(even, nodes=n) for n in (5, 1000))
    assert few.lower < all_.lower < few.upper
    assert all_.upper.exp().item() == pytest.approx(20 / 36)
