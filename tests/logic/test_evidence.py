"""Evidence that comes with a call: as if it were written into the program, and as a sum over worlds has it."""

import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint

ALARM = "0.1::b. 0.2::e. 0.9::a :- b. 0.5::a :- e. c :- a, \\+ e."
BITS = (
    "nn(bits, [X], Y, [0,1]) :: bit(X,Y). 0.3 :: noise. "
    "one(X,_) :- bit(X,1). one(_,Y) :- bit(Y,1). both(X,Y) :- bit(X,1), bit(Y,1). "
)
SUM = BITS + "sum(X,Y,S) :- bit(X,A), bit(Y,B), S is A+B. q(X,Y) :- bit(X,1), noise. q(X,Y) :- both(X,Y)."
X, Y = torch.tensor([[0.4, 0.6], [0.9, 0.1]], dtype=torch.float64), torch.tensor([[0.7, 0.3]] * 2, dtype=torch.float64)


@pytest.mark.parametrize(("a", "c"), [(True, None), (False, None), (None, True), (True, False)])
def test_as_if_it_were_written_into_the_program(a: bool | None, c: bool | None) -> None:
    evidence = {goal: truth for goal, truth in (("a", a), ("c", c)) if truth is not None}
    written = "".join(f" evidence({goal},{str(truth).lower()})." for goal, truth in evidence.items())
    expected = Constraint(ALARM + written, "b").log_prob({})
    assert Constraint(ALARM, "b").log_prob({}, evidence=evidence).item() == pytest.approx(expected.item())


def test_examples_that_know_different_things() -> None:
    """P(X and Y show 1, or X does and there is noise | one does, or none)."""
    rule = Constraint(SUM, "q(X,Y)")
    inputs = {"X": X.log().requires_grad_(), "Y": Y.log()}
    value = rule.log_prob(inputs, evidence={"one(X,Y)": [True, True]})
    x, y = X[:, 1], Y[:, 1]
    expected = (x * y + 0.3 * x * (1 - y)) / (1 - (1 - x) * (1 - y))
    assert value.exp().tolist() == pytest.approx(expected.tolist())
    value.sum().backward()
    assert inputs["X"].grad.isfinite().all()
    with pytest.warns(UserWarning, match=r"q\(X,Y\) is impossible for 1 of 2 examples \(1\)"):
        value = rule.log_prob(inputs, evidence={"one(X,Y)": torch.tensor([True, False])})
    assert value.exp().tolist() == pytest.approx([expected[0].item(), 0.0])


def test_beside_arguments() -> None:
    rule = Constraint(SUM, "sum(X,Y,S)", ("S",))
    inputs = {"X": X.log(), "Y": Y.log()}
    value = rule.log_prob(inputs, {"S": [1, 2]}, evidence={"one(X,Y)": True})
    x, y = X[:, 1].tolist(), Y[:, 1].tolist()
    one = [1 - (1 - a) * (1 - b) for a, b in zip(x, y, strict=True)]
    expected = [(x[0] * (1 - y[0]) + (1 - x[0]) * y[0]) / one[0], x[1] * y[1] / one[1]]
    assert value.exp().tolist() == pytest.approx(expected)


def test_other_methods_heed_it_as_if_it_were_written_into_the_program() -> None:
    inputs, given = {"X": X.log(), "Y": Y.log()}, {"one(X,Y)": True}
    rule, written = Constraint(SUM, "q(X,Y)"), Constraint(SUM, "q(X,Y)")
    values = {key: value.exp() for key, value in rule.posterior(inputs, evidence=given).items()}
    x, y = X[:, 1], Y[:, 1]
    holds = x * y + 0.3 * x * (1 - y)
    assert values["Y"][:, 1].tolist() == pytest.approx((x * y / holds).tolist())
    symbols, _ = rule.most_probable(inputs, evidence={"one(X,Y)": True})
    assert symbols["X"].tolist() == written.most_probable(inputs)[0]["X"].tolist() == [1, 1]
    drawn = rule.sample_posterior(inputs, evidence=given, generator=torch.Generator().manual_seed(0))
    assert drawn["X"].tolist() == [1, 1]
    answers, _ = Constraint(SUM, "sum(X,Y,S)", ("S",)).most_probable_answer(inputs, evidence={"one(X,Y)": False})
    assert answers == [(0,), (0,)]
    posterior = Constraint(SUM, "sum(X,Y,S)", ("S",)).answer_posterior(inputs, evidence={"one(X,Y)": False})["S"][0]
    assert posterior[:, 0].tolist() == pytest.approx([0.0, 0.0])


def test_the_reference_engine_is_asked_or_refuses() -> None:
    with pytest.raises(UserError, match="evidence"):
        Constraint(SUM, "q(X,Y)", engine="deepproblog").log_prob(
            {"X": X.log(), "Y": Y.log()}, evidence={"one(X,Y)": True}
        )


def test_learnable_probabilities_are_those_of_the_rule() -> None:
    rule = Constraint("t(0.5)::a. 0.5::b. c :- a. c :- b.", "a")
    rule.log_prob({}, evidence={"c": True}).backward()
    (logits,) = rule.weights.logits
    assert logits.grad.abs().sum() > 0
    with torch.no_grad():
        logits.copy_(torch.tensor([0.2, 0.8]).log())
    assert rule.log_prob({}, evidence={"c": True}).exp().item() == pytest.approx(0.2 / 0.6)


@pytest.mark.parametrize(
    ("evidence", "message"),
    [
        ({"c": 1}, "evidence c needs True or False, or a list of them, not 1"),
        ({"c": [True, None]}, "needs True or False"),
        ({"d": True}, "d"),
        ({"c :- a": True}, "evidence must be one goal"),
    ],
)
def test_what_is_no_evidence(evidence: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Constraint(ALARM, "b").log_prob({}, evidence=evidence)
