"""A query's arguments, as callers give them."""

import math

import numpy as np
import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint

BIT = "nn(bits, [X], Y, [0,1]) :: bit(X,Y). "
HALF = {"X": torch.tensor([[0.3, 0.7]] * 2, dtype=torch.float64).log()}


@pytest.mark.parametrize(
    "values",
    [
        [0.1, 0.2],
        torch.tensor([0.1, 0.2]),
        torch.tensor([0.1, 0.2], dtype=torch.bfloat16),
        torch.tensor([0.1, 0.2], dtype=torch.float64),
        np.array([0.1, 0.2], dtype=np.float32),
        [np.float32(0.1), torch.tensor(0.2)],
    ],
)
def test_numbers_of_any_precision_find_their_answer(values):
    rule = Constraint(BIT + "of(0,0.1). of(1,0.2). q(X,P) :- bit(X,B), of(B,P).", "q(X,P)", ("P",))
    assert rule.log_prob(HALF, {"P": values}).exp().tolist() == pytest.approx([0.3, 0.7])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.tensor([[0], [1]]), r"S is \[0\] in example 0, a list, and the rule's answers have a number: pass one"),
        (np.array([[0], [1]]), r"S is \[0\] in example 0, a list"),
        ([0, None], "S is None in example 1: a number, a name or a list is needed"),
        ([0, math.nan], "S is nan in example 1"),
        ([0, {}], r"S is \{\} in example 1"),
        (["0", "1"], "S is '0' in example 0, a name, and the rule's answers have a number"),
        ({0: 1, 1: 1}, r"S needs a list, one value for each example, not \{0: 1"),
        ({0, 1}, "S needs a list"),
    ],
)
def test_values_of_another_kind_are_named(values, message):
    rule = Constraint(BIT + "q(X,S) :- bit(X,S).", "q(X,S)", ("S",))
    for method in (rule.log_prob, rule.posterior, rule.align):
        with pytest.raises(UserError, match=message):
            method(HALF, {"S": values})


def test_lists_are_values_where_the_answers_are_lists():
    rule = Constraint(BIT + "q(X,[S,0.1]) :- bit(X,S).", "q(X,S)", ("S",))
    given = torch.tensor([[0, 0.1], [1, 0.1]])
    assert rule.log_prob(HALF, {"S": given}).exp().tolist() == pytest.approx([0.3, 0.7])
    with pytest.raises(UserError, match="S is 1 in example 0, a number, and the rule's answers have a list"):
        rule.log_prob(HALF, {"S": [1, 1]})


def test_numbers_stand_for_the_arguments_values():
    """Answers are 0 + 0, 0 + 1 = 1 + 0, 1 + 1."""
    rule = Constraint(BIT + "q(X,Y,S) :- bit(X,A), bit(Y,B), S is A+B.", "q(X,Y,S)", ("S",))
    numbers = rule.number_arguments({"S": [2, 0, 7, 1.0]})
    assert numbers.tolist() == [[2], [0], [3], [1]]  # 7 is any other value
    assert [rule.answer_of(row) for row in numbers] == [(2,), (0,), ("another",), (1,)]
    generator = torch.Generator().manual_seed(0)
    inputs = {key: torch.randn(3, 2, generator=generator).log_softmax(1) for key in "XY"}
    some, given = numbers[[0, 1, 3]], {"S": [2, 0, 1]}
    assert rule.log_prob(inputs, some).tolist() == rule.log_prob(inputs, given).tolist()
    assert rule.posterior(inputs, some)["X"].tolist() == rule.posterior(inputs, given)["X"].tolist()
    assert rule.most_probable(inputs, some)[1].tolist() == rule.most_probable(inputs, given)[1].tolist()
    assert rule.align(inputs, some) == rule.align(inputs, given)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (
            torch.tensor([[0.0], [1.0]]),
            r"int64 \[batch, 1\], as number_arguments returns them, not \[2, 1\]",
        ),
        (torch.tensor([0, 1]), r"not \[2\] torch.int64"),
        (torch.tensor([[0], [3]]), r"the numbers of arguments lie between -1 and \[2\]"),
        (torch.tensor([[-2], [0]]), r"between -1 and \[2\]"),
        (torch.tensor([[0], [1], [1]]), r"inputs and arguments differ in their number of examples: \[2, 3\]"),
    ],
)
def test_wrong_numbers_of_arguments_are_named(numbers, message):
    rule = Constraint(BIT + "q(X,S) :- bit(X,S).", "q(X,S)", ("S",))
    with pytest.raises(UserError, match=message):
        rule.log_prob(HALF, numbers)


def test_a_query_without_arguments_takes_no_numbers():
    rule = Constraint(BIT + "q(X) :- bit(X,1).", "q(X)")
    assert rule.number_arguments({}) is None
    with pytest.raises(UserError, match=r"the query q\(X\) has no arguments"):
        rule.log_prob(HALF, torch.tensor([0, 0]))
