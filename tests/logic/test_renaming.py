"""Concept maps and alignment, against counts known by hand."""

import itertools
from types import SimpleNamespace

import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint

DIGIT = "nn(d, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: d(X,Y). "


@pytest.mark.parametrize(
    ("program", "query", "total", "bijective", "confused"),
    [
        (DIGIT + "q(X,Y,Z) :- d(X,A), d(Y,B), C is A+B, d(Z,C).", "q(X,Y,Z)", 2, 1, {}),  # all zeros
        (
            DIGIT + "q(X,Y,Z) :- d(X,A), d(Y,B), C is (A+B) mod 10, d(Z,C).",
            "q(X,Y,Z)",
            10,
            4,
            {"d": ((1, 3, 7, 9), (2, 4, 6, 8))},
        ),
        (DIGIT + "q(X,Y,Z) :- d(X,A), d(Y,B), C is A*B, d(Z,C).", "q(X,Y,Z)", 1202, 2, {"d": ((5, 7),)}),
        (DIGIT + "q(X,Y) :- d(X,A), d(Y,B), A < B.", "q(X,Y)", 1, 1, {}),
        (
            "nn(d, [X], Y, [0,1,2,3]) :: d(X,Y). n(X,Y) :- d(X,A), d(Y,B), A =\\= B. "
            "q(X,Y,Z,W) :- n(X,Y), n(X,Z), n(X,W), n(Y,Z), n(Y,W), n(Z,W).",
            "q(X,Y,Z,W)",
            24,
            24,
            {"d": ((0, 1, 2, 3),)},
        ),
        (  # evens to evens or to odds, and so the odds: 4 (2^2 2^2) maps; apart in 2 (2! 2!)
            "nn(d, [X], Y, [0,1,2,3]) :: d(X,Y). p([],0). p([X|Xs],P) :- p(Xs,Q), d(X,A), P is (A+Q) mod 2.",
            "p([A,B,C,D],0)",
            64,
            8,
            {"d": ((0, 1, 2, 3),)},
        ),
        ("nn(b, [X], Y, [0,1]) :: b(X,Y). q(X,Y,Z) :- b(X,A), b(Y,B), C is A xor B, b(Z,C).", "q(X,Y,Z)", 2, 1, {}),
    ],
)
def test_concept_maps_of_known_rules(program, query, total, bijective, confused) -> None:
    diagnosis = Constraint(program, query=query).diagnose()
    assert (diagnosis.total, diagnosis.bijective, diagnosis.balanced) == (total, bijective, bijective)
    assert diagnosis.exact
    assert diagnosis.confused == confused


def test_symmetric_rule_over_two_domains() -> None:
    program = "nn(c, [X], Y, [red,green]) :: c(X,Y). nn(d, [X], Y, [1,2,3]) :: d(X,Y). "
    program += "q(X,Y,Z) :- c(X,A), c(Y,B), A \\= B, d(Z,N), N < 3."
    diagnosis = Constraint(program, query="q(X,Y,Z)").diagnose()
    # colours: swap or not; numbers 1 and 2, the only ones that occur, each to 1 or 2
    assert (diagnosis.total, diagnosis.bijective, diagnosis.balanced) == (2 * 4, 2 * 2, 2 * 2)
    assert diagnosis.confused == {"c": (("red", "green"),), "d": ((1, 2),)}
    assert diagnosis.examples[0].keys() == {"c", "d"}


def test_a_map_of_several_kinds_is_listed_once() -> None:
    program = "nn(c, [X], Y, [0,1,2,3]) :: c(X,Y). q(X,Y,D) :- c(X,A), c(Y,B), D is abs(A-B)."
    diagnosis = Constraint(program, query="q(X,Y,D)", arguments=("D",)).diagnose()
    assert diagnosis.examples == ({"c": {0: 3, 1: 2, 2: 1, 3: 0}},)  # balanced, bijective and total


def test_large_support_is_checked_symbolically() -> None:
    rule = Constraint.from_file("addition_multi")  # 10,000 solutions
    diagnosis = rule.diagnose()
    assert (diagnosis.total, diagnosis.bijective, diagnosis.exact) == (2, 1, True)


@pytest.fixture
def a_second_a_look(monkeypatch) -> None:
    """Each look at the clock sees a second gone by."""
    monkeypatch.setattr("gedi_nesy.logic.concept_maps.time", SimpleNamespace(process_time=itertools.count().__next__))


def test_budget_gives_a_lower_bound(a_second_a_look) -> None:
    """In the two seconds that swaps get, 0 is found to be like 1 and like 2: they have 3! orders."""
    diagnosis = Constraint.from_file("all_different").diagnose(seconds=10)
    assert diagnosis.bounds == ("balanced", "bijective", "total")
    assert diagnosis.total == 6
    assert "at least 6 concept maps" in str(diagnosis)
    assert "It can't tell apart, for digits, at least: 0, 1, 2." in str(diagnosis)
    none = Constraint.from_file("sudoku").diagnose(seconds=0)  # no time to find a second map
    assert not none.exact
    assert none.total == 1
    assert "pins" not in str(none)


def test_budget_ends_a_search_that_finds_nothing(a_second_a_look) -> None:
    """Whether a graph has an endomorphism besides the identity takes more looks than this one gets."""
    edges = "".join(f"e({a},{b}). " for a in range(10) for b in range(10) if (7 * a + 3 * b) % 11 > 3 and a != b)
    diagnosis = Constraint(DIGIT + edges + "q(X,Y) :- d(X,A), d(Y,B), e(A,B).", query="q(X,Y)").diagnose(seconds=40)
    assert "total" in diagnosis.bounds


def test_each_count_says_for_itself_whether_it_is_a_bound(a_second_a_look) -> None:
    """Of two digits the larger: any monotone map will do, 126 of them; one alone, the identity, keeps marginals."""
    text = "nn(d, [X], Y, [0,1,2,3,4]) :: d(X,Y). q(X,Y,Z) :- d(X,A), d(Y,B), C is max(A,B), d(Z,C)."
    diagnosis = Constraint(text, query="q(X,Y,Z)").diagnose(seconds=750)
    assert diagnosis.bounds == ("total",)
    assert 1 < diagnosis.total < 126
    assert f"at least {diagnosis.total} concept maps (1 bijective); with balanced marginals it pins" in str(diagnosis)


def test_a_bound_that_reaches_the_exact_total_is_exact(monkeypatch) -> None:
    """The clock runs in the first search, for balanced maps, and stands still afterwards."""
    clock = itertools.chain(range(0, 100, 10), itertools.repeat(90))
    monkeypatch.setattr("gedi_nesy.logic.concept_maps.time", SimpleNamespace(process_time=clock.__next__))
    diagnosis = Constraint.from_file("less").diagnose(seconds=100)
    assert (diagnosis.total, diagnosis.balanced, diagnosis.bounds) == (1, 1, ())


def test_diagnosis_on_given_examples() -> None:
    rule = Constraint.from_file("addition")
    few = {key: torch.tensor(values) for key, values in {"X": [1, 2], "Y": [2, 1], "Z": [3, 3]}.items()}
    assert rule.diagnose(few).bijective > 1
    assert rule.diagnose(rule.sample(60, torch.Generator().manual_seed(0))).bijective == 1
    with pytest.raises(UserError, match="assignment 0 of the support does not satisfy"):
        rule.diagnose({key: torch.tensor([1]) for key in "XYZ"})


@pytest.mark.parametrize(
    ("support", "message"),
    [
        ({"X": [1], "Y": [1]}, "the support has no S: it needs the form that sample"),
        ({"X": [1], "S": [2]}, "the support has no Y"),
        (
            {"X": [1.0], "Y": [1], "S": [2]},
            r"needs a list of indices for X, one an assignment, not \[1\] torch.float32",
        ),
        (
            {"X": [[1]], "Y": [1], "S": [2]},
            r"needs a list of indices for X, one an assignment, not \[1, 1\] torch.int64",
        ),
        ({"X": [1], "Y": [-1], "S": [2]}, "the support has -1 for Y, no index into its 10 values"),
        ({"X": [1], "Y": [1, 1], "S": [2]}, r"differ in their number of assignments: \[1, 2\]"),
    ],
)
def test_a_support_that_is_none_is_named(support, message) -> None:
    with pytest.raises(UserError, match=message):
        Constraint.from_file("addition_sum", arguments=("S",)).diagnose(support)


def test_align_names_what_is_missing() -> None:
    rule = Constraint.from_file("addition")
    with pytest.raises(UserError, match=r"were given for \['X'\], but the rule needs \['X', 'Y', 'Z'\]"):
        rule.align({"X": torch.zeros(1, 10).log_softmax(1)})
    with pytest.raises(UserError, match="no images to name clusters by"):
        rule.align({key: torch.zeros(0, 10) for key in "XYZ"})


@pytest.mark.parametrize("seed", [0, 1])
def test_align_names_noisy_clusters(seed: int) -> None:
    rule = Constraint.from_file("addition")
    generator = torch.Generator().manual_seed(seed)
    drawn, cluster_of = rule.sample(100, generator), torch.randperm(10, generator=generator)
    log_probs = {}
    for key in "XYZ":
        noisy = torch.rand(100, generator=generator) < 0.2
        cluster = torch.where(noisy, torch.randint(10, (100,), generator=generator), cluster_of[drawn[key]])
        log_probs[key] = (5.0 * torch.nn.functional.one_hot(cluster, 10)).log_softmax(1)
    alignment = rule.align(log_probs)
    assert [alignment.symbols["digits"][cluster] for cluster in cluster_of] == list(range(10))
    assert alignment.exact
    assert alignment.margin > 0


def test_align_with_arguments_and_two_networks() -> None:
    rule = Constraint.from_file("formula", query="formula([X,O,Y], V)", arguments=("V",))
    drawn = rule.sample(200, torch.Generator().manual_seed(0))
    shift = {"X": 3, "Y": 3, "O": 1}
    sizes = {v.key: len(v.domain) for v in rule.variables}
    clusters = {k: (drawn[k] + shift[k]) % sizes[k] for k in sizes}
    log_probs = {k: (9.0 * torch.nn.functional.one_hot(c, sizes[k])).log_softmax(1) for k, c in clusters.items()}
    alignment = rule.align(log_probs, {"V": drawn["V"]})
    assert alignment.satisfied == 1.0
    assert alignment.symbols == {"digits": (7, 8, 9, 0, 1, 2, 3, 4, 5, 6), "operators": (2, 0, 1)}
