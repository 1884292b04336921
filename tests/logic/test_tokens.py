"""Arguments that condition the rule: probabilities as with the argument written into the query, or summed by hand."""

import itertools
import math
import re
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint

pytestmark = [
    pytest.mark.filterwarnings("ignore:The use of:UserWarning"),  # of ==, by ProbLog
    pytest.mark.filterwarnings("ignore:.*is impossible for:UserWarning"),
]
TRI = "nn(tri, [X], Y, [0,1,2]) :: d(X,Y). 0.3 :: f(0). 0.6 :: f(2). r(0,1). r(1,1). r(2,0). s(1). s(A) :- f(A). "
X, Y = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64), torch.tensor([0.1, 0.6, 0.3], dtype=torch.float64)
INPUTS = {"X": X.log()[None], "Y": Y.log()[None]}
ADDITION = """nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y).
add([], [], 0, []).
add([X|Xs], [Y|Ys], Carry, [S|Ss]) :-
    add(Xs, Ys, Before, Ss), digit(X,A), digit(Y,B), Sum is A+B+Before, S is Sum mod 10, Carry is Sum // 10.
addition(Xs, Ys, [Carry|Ss]) :- add(Xs, Ys, Carry, Ss)."""


class LeftOpen(Exception):
    """By A < S, say, where nothing says what S is."""


def value_of(text: str, value: object, query: str) -> float:
    """P(rule) where the argument S has this value."""
    try:
        rule = Constraint(text, query, ("S",))
        return rule.log_prob({v.key: INPUTS[v.key] for v in rule.variables}, {"S": [value]}).exp().item()
    except UserError as error:
        raise LeftOpen if re.search("open|known yet", str(error)) else error from None


def given_value(text: str, value: object, query: str) -> float:
    """The same with the value written into the query."""
    rule = Constraint(text, query.replace("S", str(value)))
    return rule.log_prob({v.key: INPUTS[v.key] for v in rule.variables}).exp().item()


GOALS = (  # A and B are what the images show, S is the argument
    *("S is A+B", "S is A*B", "S = A", "A = S", "S == B", "B == S", "S =:= A+1", "A+1 =:= S", "S =\\= A", "S \\= B"),
    *("S \\== A", "r(S,A)", "r(A,S)", "s(S)", "f(S)", "d(X,S)", "\\+ s(S)", "\\+ f(S)", "\\+ r(S,B)", "between(1,B,S)"),
    *("(S = A ; S = B)", "member(S,[A,B])", "\\+ member(S,[A,1])", "p(S,A)", "p(A,S)", "same(S,A)", "[S,B] = [A,C]"),
    *("nonvar(S)", "ground(S)", "call(r,S,A)", "length([S,A],2)", "g(f(S),A)", "between(0,2,S), A < S", "A >= S, s(S)"),
)
RULES = TRI + (
    ":- use_module(library(lists)). p(0,_). p(2,2). p(A,B) :- s(A), r(A,B). same(A,A). g(f(1),_). g(f(A),A). "
)


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """One clause for the argument, or two: each a few goals about it."""
    clauses = draw(st.lists(st.lists(st.sampled_from(GOALS), min_size=1, max_size=3), min_size=1, max_size=2))
    return " ".join(f"q(X,Y,S) :- d(X,A), d(Y,B), {', '.join(goals)}." for goals in clauses)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(bodies(), st.sampled_from([0, 1, 2, 4]))
def test_an_argument_is_as_if_its_value_were_written_into_the_query(body: str, value: int) -> None:
    text = RULES + body
    expected = given_value(text, value, "q(X,Y,S)")
    with suppress(LeftOpen):
        assert value_of(text, value, "q(X,Y,S)") == pytest.approx(expected, abs=1e-12)


def sum_by_hand(digits: dict[str, torch.Tensor], total: int) -> float:
    """P(the sum of two numbers of two digits), over all their digits."""
    p = [digits[key][0].exp().tolist() for key in ("A", "B", "C", "D")]
    worlds = itertools.product(range(10), repeat=4)
    return sum(
        math.prod(own[digit] for own, digit in zip(p, world, strict=True))
        for world in worlds
        if 10 * (world[0] + world[2]) + world[1] + world[3] == total
    )


@pytest.fixture(scope="module")
def addition() -> Constraint:
    return Constraint(ADDITION, "addition([A,B],[C,D],S)", ("S:3",))


@pytest.fixture(scope="module")
def digits() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {key: torch.randn(1, 10, generator=generator, dtype=torch.float64).log_softmax(1) for key in "ABCD"}


@pytest.mark.parametrize("total", [42, 42.0, "042", [0, 4, 2], (0, 4, 2), "0042", torch.tensor([0, 4, 2])])
def test_a_sum_is_a_list_of_digits_or_a_number(addition: Constraint, digits: dict, total: object) -> None:
    value = addition.log_prob(digits, {"S": torch.stack([total]) if isinstance(total, torch.Tensor) else [total]})
    assert value.exp().item() == pytest.approx(sum_by_hand(digits, 42), rel=1e-9)
    addition.check_possible((total,))


@pytest.mark.parametrize(
    ("total", "message"),
    [
        (1234, "S is 1234 in example 0, of more than its 3 digits"),
        ([4, 2], "S is a list of 2 in example 0: 3 are needed"),
        (-4, "S is -4 in example 0: a list of 3 is needed"),
        ([0, "a", 2], "S, element 2 is 'a' in example 0, a name, and the rule's answers have a number"),
    ],
)
def test_what_is_no_list_of_digits_is_named(addition: Constraint, digits: dict, total: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        addition.log_prob(digits, {"S": [total]})


def test_elements_may_be_named_in_the_query(addition: Constraint, digits: dict) -> None:
    named = Constraint(ADDITION, "addition([A,B],[C,D],[S1,S2,S3])", ("S1", "S2", "S3"))
    values = {"S1": [1], "S2": [0], "S3": [7]}
    assert named.log_prob(digits, values).item() == pytest.approx(addition.log_prob(digits, {"S": [107]}).item())
    assert len(addition.answers) == 199
    assert addition.answers[17] == ((0, 1, 7),)
    assert addition.count() == 10_000


def test_the_posterior_of_each_digit_of_a_sum(addition: Constraint, digits: dict) -> None:
    totals = [sum_by_hand(digits, total) for total in range(199)]
    (first, second, third) = addition.answer_posterior(digits)["S"]
    assert first[0].exp().tolist() == pytest.approx([sum(totals[:100]), sum(totals[100:])])
    assert second[0, 4].exp().item() == pytest.approx(sum(p for total, p in enumerate(totals) if total // 10 % 10 == 4))
    assert third[0].exp().sum().item() == pytest.approx(1)
    (answer,), value = addition.most_probable_answer(digits)
    best = max(range(199), key=totals.__getitem__)
    assert answer == (tuple(map(int, f"{best:03}")),)
    assert value.exp().item() == pytest.approx(totals[best])


def test_symbols_are_drawn_and_counted_without_a_list_of_answers() -> None:
    rule = Constraint(ADDITION, f"addition({list('ABCDEF')},{list('GHIJKL')},S)".replace("'", ""), ("S:7",))
    assert rule.count() == 10**12
    drawn = rule.sample(20, torch.Generator().manual_seed(0))
    for i in range(20):
        a, b = (int("".join(str(int(drawn[key][i])) for key in keys)) for keys in ("ABCDEF", "GHIJKL"))
        assert drawn["S"][i] == tuple(map(int, f"{a + b:07}"))
    with pytest.raises(UserError, match="1,999,999 answers, too many to list"):
        _ = rule.answers
    rule.check_possible(("1999998",))
    with pytest.raises(UserError, match=r"impossible for S = \[1, 9, 9, 9, 9, 9, 9\]"):
        rule.check_possible((1999999,))
    assert rule.diagnose().total == 1


def test_an_argument_that_a_probability_depends_on_is_left_open() -> None:
    text = TRI + "0.5 :: noise(A); 0.5 :: noise(B) :- r(A,B). q(X,S) :- d(X,A), S = A, noise(S)."
    rule = Constraint(text, "q(X,S)", ("S",))
    for value in (0, 1, 2):
        expected = Constraint(text, f"q(X,{value})").log_prob({"X": INPUTS["X"]})
        assert rule.log_prob({"X": INPUTS["X"]}, {"S": [value]}).item() == pytest.approx(expected.item())


def test_a_variable_that_may_be_an_argument_is_not_looked_up_among_its_results() -> None:
    """e(V,S): V is S or 2; what is known of e(2,S) from there would forget that S may be 2."""
    text = TRI + "e(S,S) :- f(0). e(2,_) :- f(2). q(X,S) :- d(X,A), e(A,S), e(_,S), e(2,S)."
    for value in (0, 2):
        assert value_of(text, value, "q(X,S)") == pytest.approx(given_value(text, value, "q(X,S)"))


def test_answers_of_a_rule_that_never_looks_at_its_argument() -> None:
    rule = Constraint(TRI + "q(X,_) :- d(X,1).", "q(X,S)", ("S",))
    assert rule.answer_posterior({"X": INPUTS["X"]})["S"][0].shape == (1, 0)
    answers, value = rule.most_probable_answer({"X": INPUTS["X"]})
    assert answers == [("another",)]
    assert value.exp().item() == pytest.approx(0.3)


def test_an_answer_keeps_a_given_value_that_the_rule_does_not_ask_for() -> None:
    rule = Constraint(TRI + "q(X,S,T) :- d(X,S), T \\= 1.", "q(X,S,T)", ("S", "T"))
    answers, _ = rule.most_probable_answer({"X": INPUTS["X"]}, {"T": [5]})
    assert answers == [(2, "another")]


def test_a_list_of_a_length_that_no_sum_has_is_said_to_make_the_rule_false() -> None:
    with pytest.raises(UserError, match=r"addition\(.*\) is never true, .* the lengths of its arguments"):
        Constraint(ADDITION, "addition([A,B],[C,D],S)", ("S:5",))


def test_answers_that_cant_be_compared_are_refused_at_once_the_second_time(digits: dict) -> None:
    rule = Constraint(ADDITION, "addition([A,B],[C,D],S)", ("S:3",))
    calls = []

    def ordered(tiers: object) -> None:
        calls.append(tiers)
        raise UserError("too large")

    rule._circuits.ordered = ordered
    for _ in range(2):
        with pytest.raises(UserError, match=r"whole answers can't be compared .* answer_posterior tells about each"):
            rule.most_probable_answer(digits)
    assert len(calls) == 1


@pytest.mark.parametrize("argument", ["S:", "S:x", "S:0", "S:1000000"])
def test_a_length_that_is_none(argument: str) -> None:
    with pytest.raises(UserError, match="write S:3 for a list of three values, of 100,000 at most"):
        Constraint(ADDITION, "addition([A],[B],S)", (argument,))
