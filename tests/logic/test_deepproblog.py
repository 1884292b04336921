"""DeepProbLog's own solver on our networks, and as a constraint's reference engine."""

import pytest
import torch
from deepproblog.query import Query
from problog.logic import Constant, Term
from torch import nn

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.deepproblog import Probabilities, deepproblog_model, query
from gedi_nesy.logic.program import Declaration

SUM = "nn(digits, [X], Y, [0,1,2,3]) :: digit(X,Y). sum(X,Y,S) :- digit(X,A), digit(Y,B), S is A+B."


def test_solver_answers_with_registered_networks() -> None:
    logits = torch.tensor([[1.0, 0.0, 2.0, 0.0], [0.0, 3.0, 0.0, 1.0]], dtype=torch.float64)
    model = deepproblog_model(SUM, {"digits": nn.Identity()}, {"test": logits})
    x, y = logits.softmax(1)
    term = Term("sum", *(Term("tensor", Term("test", Constant(i))) for i in range(2)), Constant(1))
    assert model.solve([Query(term)])[0].result[term].item() == pytest.approx((x[0] * y[1] + x[1] * y[0]).item())
    answers = query(model, "sum(tensor(test(0)),tensor(test(1)),S)")
    assert len(answers) == 7
    assert sum(answers.values()) == pytest.approx(1.0)
    assert answers["sum(tensor(test(0)),tensor(test(1)),6)"] == pytest.approx((x[3] * y[3]).item())
    assert query(model, "sum(tensor(test(0)),tensor(test(1)),7)") == {"sum(tensor(test(0)),tensor(test(1)),7)": 0.0}
    same = query(model, "sum(tensor(test(0)),tensor(test(0)),1)")
    assert list(same.values()) == [pytest.approx(0.0)]  # one image has one digit


def test_neural_fact_takes_logits_of_false_and_true() -> None:
    model = deepproblog_model("nn(f, [X]) :: odd(X).", {"f": nn.Identity()}, {"x": torch.tensor([[0.0, 1.0]])})
    assert query(model, "odd(tensor(x(0)))")["odd(tensor(x(0)))"] == pytest.approx(torch.tensor(1.0).sigmoid().item())


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ("sum(tensor(nosuch(0)),tensor(test(1)),3)", "there are no tensors nosuch, only test"),
        ("sum(tensor(test(0)),tensor(test(9)),3)", "test has no 9: it has 2 tensors"),
        ("sum(tensor(test(0)),tensor(test(-1)),3)", "test has no -1: it has 2 tensors"),
        ("sum(tensor(test(0)),Y,3)", "where an image is open, name one, as tensor"),
        ("product(tensor(test(0)),3)", "No clauses found for 'product/2'"),
        ("sum(tensor(test(0)),", "the query:1:4: Unmatched"),
    ],
)
def test_wrong_goals_are_named(goal: str, message: str) -> None:
    model = deepproblog_model(SUM, {"digits": nn.Identity()}, {"test": torch.zeros(2, 4)})
    with pytest.raises(UserError, match=message):
        query(model, goal)


def test_inputs_follow_their_network_to_its_device() -> None:
    """DeepProbLog's batching calls `inputs.cuda()` and drops the result."""
    declaration = Declaration("net", (0, 1), "a place", fact=False)
    far_away = Probabilities(nn.Linear(3, 2, device="meta"), declaration)
    assert far_away(torch.zeros(4, 3)).device.type == "meta"


def test_a_query_can_be_a_key() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Query(Term("a"), {Term("x"): Term("y")}))
    rule = Constraint(SUM, query="sum(X,Y,3)")
    assert {rule: 1, rule.query: 2}[rule.query] == 2


def test_wrong_networks_are_named() -> None:
    with pytest.raises(UserError, match="there is no network digits, only letters"):
        deepproblog_model(SUM, {"letters": nn.Identity()})
    for width in (3, 5):  # DeepProbLog accepts the one in silence, and dies of the other
        model = deepproblog_model(SUM, {"digits": nn.Identity()}, {"test": torch.zeros(2, width)})
        with pytest.raises(UserError, match=f"digits has {width} outputs, but the program names 4 values"):
            query(model, "sum(tensor(test(0)),tensor(test(1)),3)")
    evidence = SUM + " evidence(sum(a,b,1))."
    with pytest.raises(UserError, match="DeepProbLog ignores"):
        deepproblog_model(evidence, {"digits": nn.Identity()})
    with pytest.raises(UserError, match="DeepProbLog ignores"):
        Constraint(evidence, query="sum(X,Y,3)", engine="deepproblog")


@pytest.mark.parametrize(
    ("program", "goal", "arguments"),
    [
        (SUM, "sum(X,Y,S)", {"S": [0, 3, 6]}),
        (SUM, "sum(X,X,S)", {"S": [0, 4, 2]}),
        (
            SUM + " nn(even, [X]) :: even(X). nn(swap, [X,Y], Z, [no,yes]) :: swap(X,Y,Z). "
            "q(X,Y) :- even(X), swap(X,Y,no). q(X,Y) :- \\+even(Y), sum(X,Y,3), swap(Y,X,yes).",
            "q(X,Y)",
            None,
        ),
        (
            SUM + " 0.3 :: noisy. 0.2 :: u(1); 0.3 :: u(2) :- noisy. "
            "q(X,S) :- digit(X,S), \\+noisy. q(X,S) :- digit(X,_), u(S).",
            "q(X,S)",
            {"S": [1, 2, 3]},
        ),
        (
            "nn(swap, [X,Y], Z, [no,yes]) :: swap(X,Y,Z). "
            "order(X,Y,[X,Y]) :- swap(X,Y,no). order(X,Y,[Y,X]) :- swap(X,Y,yes).",
            "order(8,3,L)",
            {"L": [[8, 3], [3, 8], [3, 8]]},
        ),
        (
            "nn(word, [X], Y, [bye, 'see you', \"so long\", f(1), [1,x]]) :: word(X,Y). said(X,[Y,m(Y)]) :- word(X,Y).",
            "said(X,L)",
            {"L": [("see you", "m('see you')"), ("so long", 'm("so long")'), ("f(1)", "m(f(1))")]},
        ),
        (SUM, "sum(X,Y,S)", {"S": [2, 2.0, 3]}),
        (  # the best of two cards and the house's
            "nn(card, [X], Y, [1,2,3]) :: card(X,Y). 0.5 :: house(1); 0.5 :: house(3). "
            "has(X,Y,R) :- card(X,R). has(X,Y,R) :- card(Y,R). has(X,Y,R) :- house(R). "
            "best(X,Y,R) :- has(X,Y,R), \\+ (has(X,Y,Q), Q > R).",
            "best(X,Y,R)",
            {"R": [1, 2, 3]},
        ),
        (  # an adder whose digits and carries are networks of symbols
            "nn(digit, [A,B,C], D, [0,1]) :: digit(A,B,C,D). nn(carry, [A,B,C], D, [0,1]) :: carry(A,B,C,D). "
            "add([],[],C,C,[]). add([A|As],[B|Bs],C,Out,[D|Ds]) :- "
            "add(As,Bs,C,In,Ds), digit(A,B,In,D), carry(A,B,In,Out).",
            "add([1,0],[1,1],0,C,S)",
            {"C": [0, 1, 1], "S": [[0, 0], [0, 1], [1, 1]]},
        ),
        (
            "nn(swap, [X,Y], Z, [no,yes]) :: swap(X,Y,Z). "
            "order(X,Y,first(X)) :- swap(X,Y,no). order(X,Y,[Y,X]) :- swap(X,Y,yes).",
            "order(X,Y,L)",
            {"L": ["first(X)", ["Y", "X"], ["Y", "X"]]},
        ),
    ],
)
def test_reference_engine_agrees_in_value_and_gradient(program: str, goal: str, arguments) -> None:
    names = tuple(arguments or ())
    ours = Constraint(program, query=goal, arguments=names)
    theirs = Constraint(program, query=goal, arguments=names, engine="deepproblog")
    logits = {
        v.key: torch.randn(
            3, len(v.domain), generator=torch.Generator().manual_seed(i), dtype=torch.float64
        ).requires_grad_()
        for i, v in enumerate(ours.variables)
    }
    values = [rule.log_prob({k: x.log_softmax(1) for k, x in logits.items()}, arguments) for rule in (ours, theirs)]
    assert torch.allclose(*values, rtol=1e-9)
    gradients = [torch.autograd.grad(value.sum(), list(logits.values())) for value in values]
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(*gradients, strict=True))


def test_reference_engine_warns_of_what_is_impossible_and_names_wrong_arguments() -> None:
    rule = Constraint(SUM, query="sum(X,Y,S)", arguments=("S",), engine="deepproblog")
    inputs = {key: torch.zeros(2, 4).log_softmax(1) for key in "XY"}
    with pytest.warns(UserWarning, match=r"impossible for 1 of 2 examples \(1\)"):
        assert rule.log_prob(inputs, {"S": [6, 7]}).exp().tolist() == [pytest.approx(1 / 16), 0.0]
    with pytest.raises(UserError, match=r"arguments were given for \['T'\]"):
        rule.log_prob(inputs, {"T": [6, 7]})


def test_the_reference_engine_has_a_budget(no_grace) -> None:
    names = ",".join(f"X{i}" for i in range(8))
    text = "nn(net,[X],Y,[0,1,2,3,4,5]) :: digit(X,Y). total([],0). total([X|L],S) :- total(L,T), digit(X,D), S is T+D."
    rule = Constraint(text, query=f"total([{names}],20)", engine="deepproblog", seconds=2)  # quick for our own engine
    inputs = {v.key: torch.zeros(1, 6).log_softmax(1) for v in rule.variables}
    with pytest.raises(UserError, match=r"total\(.*,20\), .* by DeepProbLog, takes more than its budget"):
        rule.log_prob(inputs)


def test_a_query_has_a_budget(no_grace) -> None:
    model = deepproblog_model("p(X) :- p(f(X)). q :- p(0).", {})
    with pytest.raises(UserError, match="q, grounded and compiled by DeepProbLog, takes more than its budget"):
        query(model, "q", seconds=0.5)
