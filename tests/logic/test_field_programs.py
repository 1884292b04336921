"""Programs from the field's trackers, restated, with answers by enumeration of their worlds."""

import itertools

import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground_rule import GroundRule

CRASH = (
    "0.8::front. 0.2::left. 0.5::right. 0.9::crash :- front, accel. "
    "0.4::crash :- left, go_left. 0.4::crash :- right, go_right. "
)
SNOW = "0.4::rain. 0.1::snow. 0.2::rain :- snow. 0.1::snow :- rain. any :- rain. any :- snow. both :- rain, snow."
EDGES = (
    "0.4::edge(1,2). 0.6::edge(2,3). 0.3::edge(3,1). 0.9::edge(3,4). 0.5::edge(1,3). "
    "node(X) :- edge(X,_). node(X) :- edge(_,X). last(X) :- node(X), \\+edge(X,_)."
)
PAIRS = "r(1,2). r(2,1). r(3,4). r(4,3). 0.5::a(X) :- r(X,_). b(X) :- r(X,Y), a(Y). evidence(c,false). "
UNBOUND = PAIRS + "c :- b(X), a(X), r(X,_). c :- \\+b(X), \\+a(X), r(X,_)."
BOUND = PAIRS + "c :- r(X,_), b(X), a(X). c :- r(X,_), \\+b(X), \\+a(X)."
TIME = (
    "0.5::c1(0). 0.5::c2(0). 0.5::c1(T) :- T>0, P is T-1, \\+h(P). 0.5::c2(T) :- T>0, P is T-1, \\+h(P). "
    "h(T) :- c1(T). h(T) :- c2(T). ret(T) :- c1(T), c2(T)."
)
TOPICS = (
    "0.5::topic(brian,politics); 0.5::topic(brian,sports). 0.5::topic(cheryl,politics); 0.5::topic(cheryl,sports). "
    "q :- \\+topic(brian,sports). q :- \\+topic(cheryl,sports)."
)
ALARM = (
    "0.001::burglary. 0.002::earthquake. 0.95::alarm :- burglary, earthquake. 0.94::alarm :- burglary, \\+earthquake. "
    "0.29::alarm :- \\+burglary, earthquake. 0.001::alarm :- \\+burglary, \\+earthquake. 0.9::john :- alarm. "
    "0.05::john :- \\+alarm. 0.7::mary :- alarm. 0.01::mary :- \\+alarm. evidence(john). evidence(mary)."
)
PEOPLE = (
    "person(1). person(2). person(3). person(4). trait(1). trait(2). trait(3). trait(4). "
    "compatible(A,B) :- compatible(B,A). 0.3::compatible(A,B) :- trait(A), trait(B), A > B. "
    "0.6::has(P,T) :- person(P), trait(T). "
    "0.9::near(P,Q) :- person(P), person(Q), has(P,A), has(Q,B), P \\= Q, compatible(A,B). "
)


@pytest.mark.parametrize(
    ("program", "query", "expected"),
    [
        (CRASH + "0.5::accel. 0.1::go_left. 0.2::go_right.", "crash", 0.3905152),  # ProbLog 105: separate facts
        (
            CRASH + "0.1::nothing; 0.5::accel; 0.1::brake; 0.1::go_left; 0.2::go_right.",
            "crash",
            0.408,
        ),  # and one choice
        ("0.2::a. 0.6::c. q :- ((\\+c, c), a).", "q", 0.0),  # ProbLog 145
        *((SNOW, query, p) for query, p in (("rain", 0.412), ("snow", 0.136), ("any", 0.46), ("both", 0.088))),  # 115
        *((EDGES, f"last({i})", p) for i, p in enumerate((0.09, 0.16, 0.056, 0.9), 1)),  # ProbLog 119
        *((UNBOUND, f"b({i})", 0.375) for i in (1, 4)),  # ProbLog 94: "no b at all"
        *((BOUND, f"b({i})", 0.5) for i in (1, 4)),
        ("0.5::green. 0.25::\\+round. round :- green.", "round", 0.375),  # ProbLog 58
        *((TIME, f"ret({t})", p) for t, p in enumerate((0.25, 0.0625, 0.203125))),  # ProbLog 125
        ("0.3::a(s); 0.7::a(t). q :- a(s).", "q", 0.3),  # Scallop 64
        (TOPICS, "q", 0.75),  # cplint 13
        (ALARM, "burglary", 0.28417184),  # plingo 29
        ("0.5::p. 0.5::q. c :- p, q. evidence(c,false).", "p", 1 / 3),  # ProbLog 110
    ],
)
@pytest.mark.filterwarnings("ignore:.*is impossible for:UserWarning")
def test_programs_of_the_field(program: str, query: str, expected: float) -> None:
    assert Constraint(program, query).log_prob({}).exp().item() == pytest.approx(expected, abs=1e-8)


def test_a_neural_choice_has_the_gradient_of_one_variable() -> None:
    """Scallop 64: that of log P at p is 1/p."""
    rule = Constraint("nn(net,[X],Y,[s,t]) :: a(X,Y). q(X) :- a(X,s).", "q(X)")
    log_p = torch.tensor([[0.3, 0.7]], dtype=torch.float64).log().requires_grad_()
    rule.log_prob({"X": log_p}).sum().backward()
    assert (log_p.grad[0] / log_p.detach().exp()[0]).tolist() == pytest.approx([1 / 0.3, 0])


@pytest.mark.parametrize(
    ("program", "query", "message"),
    [
        ("0.5::a :- \\+b. 0.5::b :- a.", "a", "negation|[Nn]egative cycle"),  # ProbLog 106
        (
            "0.5::t1; 0.5::t2. w1 :- t1. w2 :- t2. 0.5::w3. evidence(w1,false). evidence(w2,false). evidence(w3).",
            "t1",
            "evidence is impossible",
        ),  # ProbLog 117
    ],
)
def test_programs_without_a_meaning_are_refused(program: str, query: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Constraint(program, query)


def test_twelve_queries_at_once() -> None:
    """ProbLog 56: who is near to whom among four persons, of which ProbLog's own forms take minutes or all memory."""
    rule = Constraint(PEOPLE + "pair(P,Q) :- near(P,Q).", "pair(P,Q)", ("P", "Q"))
    pairs = list(itertools.permutations(range(1, 5), 2))
    assert sorted(rule.answers) == sorted(pairs)
    one, two = (list(column) for column in zip(*pairs, strict=True))
    value = rule.log_prob({}, {"P": one, "Q": two})
    assert value.exp().tolist() == pytest.approx([0.6197769934] * 12, abs=1e-9)


@pytest.mark.parametrize(
    ("digits", "pairs", "total", "bijective"),
    [
        (5, [(0, 0), (0, 1), (2, 3), (2, 4)], 3, 1),  # rsbench's MNIST-Half
        (10, [(0, 6), (2, 8), (4, 6), (4, 8), (1, 5), (3, 7), (1, 9), (3, 9)], 36, 2),  # and EvenOdd
    ],
)
def test_shortcuts_of_rsbench(digits: int, pairs: list, total: int, bijective: int) -> None:
    text = f"nn(digits, [X], Y, {list(range(digits))}) :: digit(X,Y). sum(X,Y,S) :- digit(X,A), digit(Y,B), S is A+B."
    rule = Constraint(text, "sum(X,Y,S)", ("S",))
    both = [*pairs, *((b, a) for a, b in pairs)]
    x, y = (torch.tensor(column) for column in zip(*both, strict=True))
    maps = rule.diagnose({"X": x, "Y": y, "S": (x + y).tolist()})
    assert (maps.total, maps.bijective) == (total, bijective)


def test_a_disjunction_is_learnt_from_what_was_drawn() -> None:
    """ProbLog 52: three values of one choice, seen as a, a, b, b, c; the likeliest probabilities are .4, .4 and .2."""
    rule = Constraint("t(_)::x(a); t(_)::x(b); t(_)::x(c). seen(V) :- x(V).", "seen(V)", ("V",))
    optimiser = torch.optim.Adam(rule.parameters(), lr=0.1)
    for _ in range(200):
        loss = -rule.log_prob({}, {"V": ["a", "a", "b", "b", "c"]}).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert rule.weights.probabilities() == pytest.approx([0.4, 0.4, 0.2], abs=1e-3)


PATHS = "path(X,Y) :- edge(X,Y). path(X,Y) :- edge(X,Z), path(Z,Y). "


def test_paths_over_few_nodes() -> None:
    """ProbLog 78 in small: of four nodes, all linked both ways; each of 2^12 graphs by hand."""
    pairs = list(itertools.permutations(range(4), 2))
    rule = Constraint(PATHS + " ".join(f"0.3::edge({a},{b})." for a, b in pairs), "path(0,3)")
    expected = 0.0
    for chosen in itertools.product([False, True], repeat=len(pairs)):
        edges = [pair for pair, there in zip(pairs, chosen, strict=True) if there]
        reached = {0}
        for _ in range(3):
            reached |= {b for a, b in edges if a in reached}
        expected += (3 in reached) * 0.3 ** len(edges) * 0.7 ** (len(pairs) - len(edges))
    assert rule.log_prob({}).exp().item() == pytest.approx(expected, abs=1e-9)


def test_paths_over_nine_nodes_are_answered_or_refused_within_the_budget() -> None:
    """ProbLog 78: 27 h and 148 GB there. Where a diagram is too much, bounds still say where the answer lies."""
    edges = " ".join(f"0.1::edge({a},{b})." for a, b in itertools.permutations(range(9), 2))
    with pytest.raises(UserError, match=r"outgrew|not done|more than"):
        Constraint(PATHS + edges, "path(0,8)", seconds=2, max_nodes=20_000)
    bounds = GroundRule(PATHS + edges, "path(0,8)").bounds({}, nodes=300)
    assert 0.1 < bounds.lower.exp().item() < bounds.upper.exp().item() < 1
