"""Examples come from the program's own distribution, and symbols are told apart by the rule's probability."""

from pathlib import Path

import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic.compile import compile_program
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.grounder import ground
from gedi_nesy.logic.likelihood import Likelihood
from gedi_nesy.logic.program import Program, Source
from gedi_nesy.logic.query import Query

DIGIT = "nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y). "
SENSOR = (
    DIGIT + "0.9 :: sensor_ok. "
    "sum(X,Y,Z) :- digit(X,A), digit(Y,B), digit(Z,C), told(A,B,C). "
    "told(A,B,C) :- sensor_ok, C is A+B. told(_,_,_) :- \\+sensor_ok."
)
BIT = "nn(bits, [X], Y, [0,1]) :: bit(X,Y). "


def test_facts_are_drawn_by_their_probabilities():
    rule = Constraint(SENSOR, "sum(X,Y,Z)")
    drawn = rule.sample(20_000, torch.Generator().manual_seed(0))
    right = (drawn["X"] + drawn["Y"] == drawn["Z"]).double().mean().item()
    assert right == pytest.approx(0.9 + 0.1 * 55 / 1000, abs=0.01)  # without the sensor all 1,000 are equally likely
    expected = [0.9 * (10 - x) / 55 + 0.1 / 10 for x in range(10)]
    assert rule.marginals()["X"].tolist() == pytest.approx(expected)
    assert (drawn["X"].bincount() / 20_000).tolist() == pytest.approx(expected, abs=0.015)
    assert rule.count() == 1000


def test_answers_are_drawn_with_the_facts():
    text = SENSOR.replace("sum(X,Y,Z)", "sum(X,Y,C)").replace("digit(Z,C), ", "between(0,18,C), ")
    drawn = Constraint(text, "sum(X,Y,S)", ("S",)).sample(5_000, torch.Generator().manual_seed(0))
    right = (drawn["X"] + drawn["Y"] == torch.tensor(drawn["S"])).double().mean().item()
    assert right == pytest.approx(0.9 + 0.1 / 19, abs=0.015)


def test_draws_are_given_the_evidence():
    rule = Constraint(
        "nn(n, [f]) :: f. nn(n, [g]) :: g. 0.9 :: ok. q :- ok, f. q :- \\+ok. e :- ok. e :- g. evidence(e). query(q)."
    )
    ok = 0.9 / (0.9 + 0.1 * 0.5)  # without it, g must be, which half of the networks' values are
    by_hand = {"f": ok + (1 - ok) * 0.5, "g": ok * 0.5 + (1 - ok)}
    drawn = rule.sample(20_000, torch.Generator().manual_seed(0))
    for name, expected in by_hand.items():
        assert rule.marginals()["n", name][1].item() == pytest.approx(expected)
        assert drawn["n", name].double().mean().item() == pytest.approx(expected, abs=0.01)


def test_a_world_without_a_solution_is_left_out():
    rule = Constraint(BIT + "0.2 :: a. t(0.5) :: b. q(X) :- a, bit(X,1). q(X) :- a, b, bit(X,_).", "q(X)")
    assert rule.marginals()["X"].tolist() == pytest.approx([0.25, 0.75])  # a holds; both will do with b


def slips(images):
    """Each image is 1 unless a slip of its own, of probability 1 / (its number + 2), excuses it."""
    names = ",".join(f"X{i}" for i in range(images))
    text = BIT + "P :: slip(N) :- between(0,99,N), P is 1/(N+2). q([],_). q([X|L],N) :- ok(X,N), M is N+1, q(L,M). "
    return text + "ok(X,N) :- slip(N), bit(X,_). ok(X,N) :- \\+slip(N), bit(X,1).", f"q([{names}],0)"


def test_worlds_have_a_budget_of_seconds(no_grace, monkeypatch):
    monkeypatch.setattr("gedi_nesy.logic.worlds.WORLDS", 10**9)
    rule = Constraint(*slips(30), seconds=2, max_nodes=10**9)
    with pytest.raises(UserError, match=r"with 30 random variables of its own, takes more than its budget of 2 s"):
        rule.sample(1)


def test_probabilities_that_take_too_long_are_told_apart_by_what_is_possible(no_grace):
    rule = Constraint(*slips(30), seconds=2, max_nodes=10**9)  # 2^30 values
    with pytest.warns(UserWarning, match="takes too many values to tell symbols apart"):
        assert rule.diagnose().total == 4  # both may be anything: every map of two symbols


def test_of_very_many_worlds_some_are_drawn():
    names = ",".join(f"X{i}" for i in range(11))
    text = BIT + "0.1 :: slip(N). q([],_). q([X|L],N) :- ok(X,N), M is N+1, q(L,M). "
    rule = Constraint(text + "ok(X,N) :- slip(N), bit(X,_). ok(X,N) :- \\+slip(N), bit(X,1).", f"q([{names}],0)")
    with pytest.warns(UserWarning, match="11 random variables make more than 1,000 worlds"):
        marginals = rule.marginals()
    assert [m[1].item() for m in marginals.values()] == pytest.approx([0.95] * 11, abs=0.01)


def test_noise_that_still_tells_symbols_apart():
    found = Constraint(SENSOR, "sum(X,Y,Z)").diagnose()
    assert (found.total, found.bijective, found.balanced, found.exact) == (2, 1, 1, True)  # all zeros, as without noise
    blind = Constraint(BIT + "0.5 :: ok. q(X) :- bit(X,0), ok. q(X) :- bit(X,1), \\+ok.", "q(X)").diagnose()
    assert (blind.bijective, blind.confused) == (2, {"bits": ((0, 1),)})  # 0 and 1 are equally probable
    told = Constraint(BIT + "0.6 :: ok. q(X) :- bit(X,0), ok. q(X) :- bit(X,1), \\+ok.", "q(X)").diagnose()
    assert (told.total, told.bijective) == (2, 1)  # to call a 1 a 0 makes the rule more probable, not less


def test_evidence_is_part_of_the_probability():
    """P(q | e) is 1 for f and 1/4 otherwise; P(q, e) is .5 and .2, P(q) is 1 and .2."""
    text = "nn(n, [f]) :: f. 0.2 :: a. 0.5 :: b. 0.75 :: c. q :- f. q :- a. "
    text += "e :- f, b. e :- \\+f, a. e :- \\+f, \\+a, c. evidence(e). query(q)."
    program = Program(Source(text, "the program", Path()))
    grounded = ground(program, Query(program, None, ()), seconds=30)
    compiled = compile_program(grounded, max_nodes=1000, seconds=30)
    leaves = Likelihood(grounded, compiled, [fact.start_weights(()) for fact in grounded.facts]).value.values()
    assert sorted(leaves)[:2] == [0.0, pytest.approx(0.2)]
    assert any(leaf == pytest.approx(0.2 / (0.2 + 0.8 * 0.75)) for leaf in leaves)


def test_clusters_are_named_by_a_noisy_rule():
    rule, generator = Constraint(SENSOR, "sum(X,Y,Z)"), torch.Generator().manual_seed(1)
    drawn, cluster_of = rule.sample(200, generator), torch.randperm(10, generator=generator)
    clusters = {key: (9.0 * torch.nn.functional.one_hot(cluster_of[drawn[key]], 10)).log_softmax(1) for key in "XYZ"}
    named = rule.align(clusters)
    right = (drawn["X"] + drawn["Y"] == drawn["Z"]).double().mean().item()
    assert [named.symbols["digits"][cluster] for cluster in cluster_of] == list(range(10))
    assert named.satisfied == pytest.approx(right + 0.1 * (1 - right))
    assert named.margin > 0
