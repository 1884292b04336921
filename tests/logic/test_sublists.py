"""Lists of results that can't hold together are not grounded, and no other is lost."""

import itertools
import math
from pathlib import Path

import pytest
import torch

from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.grounder import ground
from gedi_nesy.logic.program import Program, Source
from gedi_nesy.logic.query import Query

TRI = "nn(tri, [X], Y, [0,1,2]) :: d(X,Y). "
INPUTS = {"X": torch.tensor([[0.2, 0.3, 0.5]]).double().log(), "Y": torch.tensor([[0.6, 0.3, 0.1]]).double().log()}


def grounded(text, query, arguments):
    """The answers in the ground program, possible or not."""
    program = Program(Source(text, "the program", Path()))
    (argument,) = ground(program, Query(program, query, arguments), seconds=20).arguments
    return {(value,) for value in argument.domain}


def test_nested_lists_over_images_have_as_many_answers_as_worlds():
    text = TRI + "q(X,Y,L) :- findall(A, (member(I,[X,Y]), findall(D, d(I,D), A)), L)."
    assert len(grounded(text, "q(X,Y,L)", ("L",))) == 9  # ProbLog alone: two to the number of 2 * 2**3 lists
    rule = Constraint(text, "q(X,Y,L)", ("L",))
    for (found,) in rule.answers:
        ((x,), (y,)) = found
        by_hand = INPUTS["X"][0, x] + INPUTS["Y"][0, y]
        assert rule.log_prob(INPUTS, {"L": [found]}).item() == pytest.approx(by_hand.item())


def test_subsets_of_facts_are_all_there():
    text = "0.5 :: s(1). 0.2 :: s(2). s(3). 0.3 :: u(1); 0.6 :: u(2). q(L) :- findall(A, (s(A) ; u(A)), L)."
    rule = Constraint(text, "q(L)", ("L",))
    worlds = itertools.product([(1, 0.5), (None, 0.5)], [(2, 0.2), (None, 0.8)], [(1, 0.3), (2, 0.6), (None, 0.1)])
    expected: dict = {}
    for (a, p), (b, q), (c, r) in worlds:
        found = tuple(value for value in (a, b, 3, c) if value)
        expected[found] = expected.get(found, 0) + p * q * r
    assert set(grounded(text, "q(L)", ("L",))) == {(found,) for found in expected}
    for found, probability in expected.items():
        assert math.exp(rule.log_prob({}, {"L": [found]}).item()) == pytest.approx(probability)


@pytest.mark.parametrize(
    ("goal", "holds"),
    [
        ("findall(A, (d(X,A), d(Y,A)), L), length(L,N)", lambda x, y: int(x == y)),
        ("findall(A, (d(X,A) ; d(Y,A)), L), length(L,N)", lambda x, y: 2),
        ("findall(A, (d(X,A), \\+d(Y,A)), L), length(L,N)", lambda x, y: int(x != y)),
        ("findall(A, (d(X,B), d(Y,C), A is B+C, A > 2), L), length(L,N)", lambda x, y: int(x + y > 2)),
        ("findall(A, far(X,Y,A), L), length(L,N)", lambda x, y: int(abs(x - y) == 2)),
        ("all(A, (d(X,A), A > 0), L), length(L,N)", lambda x, y: 1 if x > 0 else None),
    ],
)
def test_lists_over_two_images_agree_with_enumeration(goal, holds):
    far = "far(X,Y,a) :- d(X,0), d(Y,2). far(X,Y,a) :- d(X,2), d(Y,0). "
    rule = Constraint(TRI + far + f"q(X,Y,N) :- {goal}, d(X,_), d(Y,_).", "q(X,Y,N)", ("N",))
    joint = (INPUTS["X"][0][:, None] + INPUTS["Y"][0]).exp()
    for n in range(3):
        by_hand = sum(joint[x, y].item() for x in range(3) for y in range(3) if holds(x, y) == n)
        value = rule.log_prob(INPUTS, {"N": [n]}).exp().item() if (n,) in rule.answers else 0.0
        assert value == pytest.approx(by_hand)
