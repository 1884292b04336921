"""A rule looks at no value while it is asked in training, so that a GPU never waits; what is wrong is said later."""

import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic import Constraint
from gedi_nesy.logic.looks import Looks
from tests.waits import Waits

TEXT = """
nn(net,[X],Y,[0,1,2]) :: d(X,Y).
0.3::a. t(0.4)::b; 0.1::c.
q(X,Y,S) :- d(X,A), d(Y,B), S is A+B, a.
q(X,Y,S) :- d(X,A), d(Y,B), S is A+B, b.
"""
LOGITS = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def rule():
    return Constraint(TEXT, query="q(X,Y,S)", arguments=("S",))


def ask(rule, logits, numbers):
    x, y = logits.log_softmax(-1).unbind(1)
    return rule.log_prob({"X": x, "Y": y}, numbers)


def test_a_call_in_training_looks_at_no_value(rule):
    numbers = rule.number_arguments({"S": [0, 1, 2, 3]})
    numbers[3] = -1  # open
    expected = ask(rule, LOGITS, numbers)
    rule.looks.late = True
    logits = LOGITS.clone().requires_grad_()
    ask(rule, logits, numbers)  # the first call may make what all others use
    rule.looks.settle()
    with Waits() as waits:
        found = ask(rule, logits, numbers)
        found.sum().backward()
    assert waits.found == []
    assert torch.equal(found, expected)


def test_what_was_wrong_is_said_by_the_next_call(rule):
    rule.looks.late = True
    numbers = rule.number_arguments({"S": [4, 1, 2, 3]})
    certain = torch.tensor([100.0, -torch.inf, -torch.inf]).expand(4, 2, 3)
    ask(rule, certain, numbers)
    with pytest.warns(UserWarning, match=r"impossible for 4 of 4 examples \(0, 1, 2, 3\)"):
        ask(rule, LOGITS, numbers)
    rule.log_prob({"X": LOGITS[:, 0], "Y": LOGITS[:, 1].log_softmax(-1)}, numbers)
    with pytest.raises(UserError, match="X are no log-probabilities: in example 0"):
        ask(rule, LOGITS, numbers)
    ask(rule, LOGITS, numbers + 7)
    with pytest.raises(UserError, match=r"lie between -1 and \[5\]"):
        ask(rule, LOGITS, numbers)


def test_on_the_cpu_a_number_is_judged_at_once():
    judged = []
    Looks().look(torch.tensor(3.0, requires_grad=True), judged.append)
    assert judged == [3.0]


def test_late_numbers_are_judged_as_they_were():
    looks, judged, number = Looks(late=True), [], torch.tensor(1.0)
    looks.look(number, judged.append)
    number.add_(1)
    assert judged == []
    looks.turn()
    assert judged == [1.0]


def test_a_rule_that_was_first_asked_without_gradients_can_be_asked_with_them(rule):
    numbers = rule.number_arguments({"S": [0, 1, 2, 3]})
    with torch.inference_mode():
        expected = ask(rule, LOGITS, numbers)
    logits = LOGITS.clone().requires_grad_()
    ask(rule, logits, numbers).sum().backward()
    again = torch.func.vjp(lambda x: ask(rule, x, numbers), LOGITS)
    torch.testing.assert_close(again[0].detach(), expected)
    torch.testing.assert_close(again[1](torch.ones(4))[0].detach(), logits.grad)
