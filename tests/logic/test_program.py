"""What a program or query can get wrong: one sentence that says what and where, never a wrong number."""

import re
import threading

import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic import syntax
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.program import find_program

DIGIT = "nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y). "


@pytest.mark.parametrize(
    ("text", "query", "message"),
    [
        ("a :- b,.", None, "the program:1:7: Expected binary operator"),
        ("a.\nb(X) :- c(X,.", None, r"the program:2:11: Unmatched character '\('"),
        ("p :-\n  nosuch(3).", "p", "No clauses found for 'nosuch/1' at 2:3"),
        (DIGIT, "nosuch(X)", "No clauses found for 'nosuch/1'"),
        (DIGIT + "q(X) :- digit(X,3).", None, "has no query/1"),
        ("0.1 :: a. 0.2 :: b. query(a). query(b).", None, r"2 queries \(a, b\)"),
        (DIGIT + "q(X,S) :- digit(X,A), S is A+1.", "q(X,S)", r"no network is called with S: .*arguments=\('S',\)"),
        (DIGIT, "digit(X,_)", "nameless variable"),
        ("nn(d, [X], Y, []) :: p(X,Y).", "p(X,1)", r"1:22: the values of a neural predicate must be a list"),
        ("nn(d, [X], Y, [0,1,1.0]) :: p(X,Y).", "p(X,1)", r"names its value 1.0 twice in \[0, 1, 1.0\]"),
        (DIGIT + "q(X) :- digit(X,A), ( A > 1 -> true ; A = 0 ).", "q(X)", "ProbLog has no cut and no if-then-else"),
        (DIGIT + "q(X) :- digit(X,A), A > 1, !.", "q(X)", "ProbLog has no cut and no if-then-else"),
        (DIGIT + "q(X) :- digit(Z,1), digit(X,2).", "q(X)", "must be known when it is reached$"),
        ("nn(d, [X], Y, D) :: p(X,Y).", "p(X,1)", "the values of a neural predicate must be a list"),
        ("nn(d, [X], Y, [0,1]) :: p(X,Y); 0.3 :: r(X).", "p(X,1)", "one head of an annotated disjunction"),
        ("nn(d, [X], E) :: p(X,E).", "p(X,1)", "returns a tensor into the logic"),
        ("nn(d, X, Y, [0,1]) :: p(X,Y).", "p(X,1)", "inputs of a neural predicate must be a list"),
        (
            "nn(d, [X], Y, [0,1]) :: p(X,Y). nn(d, [X], Y, [a,b]) :: r(X,Y). q(X) :- p(X,1), r(X,b).",
            "q(X)",
            "reads X twice",
        ),
        ("nn(d, [X], Y, [0,1]) :: p(X,Y) :- r(Z). r(1). r(2).", "p(X,1)", "two independent draws"),
        ("b.\n0.7 :: a; 0.6 :: b. q :- a.", "q", "2:8: the probabilities of an annotated disjunction exceed 1: 1.3"),
        ("P::a(X); Q::b(X) :- w(X,P,Q). w(1,0.7,0.7). q :- a(1).", "q", "annotated disjunction exceed 1: 1.4 at 1:4"),
        ("0.5 :: a; b :- c. c.", "a", "1:11: b has no probability, but what it excludes has"),
        ("b. 1.5 :: a.", "b", "1:11: the probability 1.5 is not between 0 and 1"),  # though it is not reached
        ("t(0.7) :: a; t(0.6) :: b.", "a", "exceed 1"),
        ("t(0.0) :: a.", "a", "must start between 0 and 1"),
        ("b.\nt(_,X) :: a(X) :- c(X).", "b", r"2:11: a learnable probability is t\(_\) or t\(0.1\), one for all"),
        ("b.\na :-\n  b.\n3 :- b.\na.", "a", "the program:4: Unexpected clause head '3'"),
        ("b.\na :- b<.\nc.", "b", "the program:2: an operator lacks what it needs beside it"),
        ("b.\n:- .\nc.", "b", "the program:2:1: a directive, :-, without a goal"),
        (DIGIT, " nosuch(X)", r"'nosuch/1'"),  # no line: a place in the query is none in the program
        ("1.5 :: a.", "a", "1.5 is not between 0 and 1"),
        ("? :: a.", "a", r"the probability \? is not a number"),
        ("a :- \\+b. b :- \\+a.", "a", "Negative cycle"),
        ("0.3 :: a. b :- fail. evidence(b).", "a", "evidence is impossible"),
        ("0.3 :: a. evidence(a,flase).", "a", r"evidence\(a,flase\) has no truth value: write true or false at 1:20"),
        ("0.3 :: a. evidence(a,0).", "a", r"evidence\(a,0\) has no truth value"),
        ("0.3 :: a. evidence(a,_).", "a", r"evidence\(a,.*\) has no truth value"),
        ("0.3 :: a. v(no). evidence(a,V) :- v(V).", "a", r"evidence\(a,no\) has no truth value"),
        ("0.3 :: a. 0.5 :: b. evidence(a) :- b.", "a", r"evidence\(a\) depends on chance"),
        ("0.3 :: a. 0.5 :: evidence(a).", "a", r"write query\(goal\), evidence\(goal\) or evidence\(goal,false\)"),
        ("0.3 :: a. evidence(a,true,1).", "a", r"write query\(goal\), evidence\(goal\) or evidence\(goal,false\)"),
        ("nn(d, [X], Y, ['0','1']) :: p(X,Y).", "p(X,1)", "1:16: ProbLog can't tell the name '0' from the number"),
        ("a.\nb(" + "7" * 4400 + ").", "a", "the program:2: a number is too large"),
        ("a.\nb(0x" + "f" * 4400 + ").", "a", "the program:2: a number is too large"),
        ("a.\nb(1e999).", "a", "the program:2: a number is too large"),
        ("0.3 :: p(1). query(p(X)) :- X = 1.", None, "has no query/1 without a body"),
        ("0.3 :: a(1). p(X,Y) :- a(X).", "p(1,Y)", r"no network is called with Y"),
        ("t(0.3) :: a. p(P) :- subquery(a,P), P > 0.1. q :- p(_).", "q", "evaluating subquery"),
    ],
)
def test_one_sentence_for_each_mistake(text: str, query: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Constraint(text, query=query)


def test_a_byte_order_mark_is_none_of_the_program(tmp_path) -> None:
    (tmp_path / "marked.pl").write_bytes(b"\xef\xbb\xbf0.3 :: a.\nquery(a).")
    for rule in (Constraint.from_file(tmp_path / "marked.pl"), Constraint("\ufeff0.3 :: a.", "a")):
        assert rule.log_prob({}).exp().item() == pytest.approx(0.3)


def test_a_single_argument_may_be_its_name() -> None:
    rule = Constraint(DIGIT + "sum(X,Sum) :- digit(X,A), Sum is A+1.", query="sum(X,Sum)", arguments="Sum")
    assert rule.arguments == ("Sum",)


def test_a_program_that_is_no_text(tmp_path) -> None:
    (tmp_path / "latin.pl").write_bytes("% r\xe9gle\na.".encode("latin1"))
    with pytest.raises(UserError, match=r"latin\.pl is no text in UTF-8, see its byte 3: save it as UTF-8"):
        Constraint.from_file(tmp_path / "latin.pl", query="a")


def test_argument_that_the_rule_does_not_produce() -> None:
    with pytest.raises(UserError, match="N is open while grounding: let the rule produce it"):
        Constraint(DIGIT + "q(X,N) :- digit(X,A), A < N.", query="q(X,N)", arguments=("N",))
    rule = Constraint(DIGIT + "q(X,N) :- between(0,9,N), digit(X,A), A < N.", query="q(X,N)", arguments=("N",))
    assert rule.log_prob({"X": torch.zeros(1, 10).log_softmax(1)}, {"N": [3]}).exp().item() == pytest.approx(0.3)


@pytest.mark.parametrize("body", ["\\+ A = N", "A \\= N", "\\+(M = A, M = N)"])
def test_an_argument_may_be_what_something_else_is_not(body: str) -> None:
    rule = Constraint(DIGIT + f"q(X,N) :- digit(X,A), {body}.", query="q(X,N)", arguments=("N",))
    value = rule.log_prob({"X": torch.zeros(3, 10).log_softmax(1)}, {"N": [3, 99, "it is"]})
    assert value.exp().tolist() == pytest.approx([0.9, 1.0, 1.0])


@pytest.mark.parametrize("body", ["A @< N", "\\+ A @>= N", "M = A, M @< N"])
def test_answers_that_an_open_argument_hides_are_refused(body: str) -> None:
    rule = Constraint(DIGIT + f"q(X,N) :- digit(X,A), {body}. q(X,99).", query="q(X,N)", arguments=("N",))
    with pytest.raises(UserError, match=r"q\(X,3\) has an answer, but the rule does not find it while N is open"):
        rule.log_prob({"X": torch.zeros(1, 10).log_softmax(1)}, {"N": [3]})
    with pytest.raises(UserError, match=r"q\(X,'it is'\) has an answer, but the rule does not find it"):
        rule.log_prob({"X": torch.zeros(1, 10).log_softmax(1)}, {"N": ["it is"]})


def test_answers_that_an_open_argument_makes_are_refused() -> None:
    with pytest.raises(UserError, match="depend on whether its arguments are known yet, by var/1"):
        Constraint(DIGIT + "q(X,N) :- digit(X,A), var(N), N is A+1.", query="q(X,N)", arguments=("N",))


def test_answers_that_negation_leaves_alone() -> None:
    text = DIGIT + "q(X,N) :- between(0,9,N), digit(X,A), \\+ A = N."
    rule = Constraint(text, query="q(X,N)", arguments=("N",))
    inputs = {"X": torch.zeros(2, 10).log_softmax(1)}
    with pytest.warns(UserWarning, match="impossible for 1 of 2"):
        assert rule.log_prob(inputs, {"N": [3, 10]}).exp().tolist() == [pytest.approx(0.9), 0.0]


@pytest.mark.parametrize(
    ("text", "both"),
    [
        ('0.3 :: a("x"). 0.4 :: a(x).', '"x" and x'),
        ("0.3 :: a(7). 0.4 :: a(7.0).", "7 and 7.0"),
        ("0.3 :: a([7]). 0.4 :: a([7.0]).", r"\[7\] and \[7.0\]"),
        ("0.3 :: b. a(X) :- b, X is 3+4. a(X) :- b, X is 14/2.", "7 and 7.0"),  # ProbLog divides to a float
    ],
)
def test_answers_that_are_two_in_problog_and_one_in_python(text: str, both: str) -> None:
    with pytest.raises(UserError, match=f"ProbLog tells apart and Python does not, {both}: let the rule write"):
        Constraint(text, query="a(X)", arguments=("X",))


def test_a_number_is_found_in_either_way_of_writing() -> None:
    rule = Constraint("0.3 :: b. a(X) :- b, X is 14/2.", query="a(X)", arguments=("X",))
    assert rule.log_prob({}, {"X": [7]}).exp().item() == pytest.approx(0.3)
    assert rule.log_prob({}, {"X": [torch.tensor(7.0)]}).exp().item() == pytest.approx(0.3)


def test_query_with_an_unknown_argument() -> None:
    with pytest.raises(UserError, match="argument Z is no variable"):
        Constraint(DIGIT, query="digit(X,3)", arguments=("Z",))


def test_files_beside_the_program_and_trusted_code(tmp_path) -> None:
    (tmp_path / "helper.pl").write_text("helper(3).")
    (tmp_path / "code.py").write_text(
        "from problog.extern import problog_export\n@problog_export('+int', '-int')\ndef twice(x):\n    return 2 * x\n"
    )
    inputs = {"X": torch.tensor([[0.1, 0.2, 0.3, 0.25, 0.0, 0.0, 0.15, 0.0, 0.0, 0.0]]).log()}
    rule = Constraint(DIGIT + ":- consult('helper.pl'). q(X) :- helper(A), digit(X,A).", query="q(X)", folder=tmp_path)
    assert rule.log_prob(inputs).exp().item() == pytest.approx(0.25)
    (tmp_path / "helper.pl").write_text("helper(2).")  # the cache notices
    rule = Constraint(DIGIT + ":- consult('helper.pl'). q(X) :- helper(A), digit(X,A).", query="q(X)", folder=tmp_path)
    assert rule.log_prob(inputs).exp().item() == pytest.approx(0.3)
    text = DIGIT + ":- use_module('code.py'). q(X) :- twice(3, A), digit(X,A)."
    assert Constraint(text, query="q(X)", folder=tmp_path, trust=True).log_prob(inputs).exp().item() == pytest.approx(
        0.15
    )


@pytest.mark.parametrize("body", ["p(0)", "between(1, 1000000000, A), A < 0"])
def test_grounding_that_does_not_end_is_stopped(body: str) -> None:
    text = DIGIT + f"p(X) :- Y is X+1, p(Y). q(X) :- digit(X,3), {body}."
    errors = []

    def compile_it() -> None:  # in a thread that isn't the main one
        try:
            Constraint(text, query="q(X)", seconds=0.5)
        except UserError as error:
            errors.append(str(error))

    thread = threading.Thread(target=compile_it)
    thread.start()
    thread.join()
    # a single call into C, which no timer stops, is ended by the kernel, with another sentence
    assert re.search(
        "not grounded within its budget of 0.5 s.*addition_multi|takes more than its budget of 0.5 s", errors[0]
    )


def test_diagram_that_is_too_large() -> None:
    text = "nn(n, [X], Y, [0,1,2,3,4,5,6,7]) :: d(X,Y). p([],_). p([X|Xs],D) :- select(A,D,R), d(X,A), p(Xs,R)."
    with pytest.raises(UserError, match="outgrew 200 nodes, in 2 variable orders: it is the wrong form"):
        Constraint(text, query="p([A,B,C,D,E,F],[0,1,2,3,4,5,6,7])", max_nodes=200)


def test_users_may_name_predicates_as_deepproblog_does() -> None:
    rule = Constraint(DIGIT + "add(X,Y,Z) :- Z is X*Y. q(X) :- digit(X,A), add(2,3,A).", query="q(X)")
    assert rule.count() == 1
    assert rule.sample(1)["X"].tolist() == [6]


def test_find_program(tmp_path) -> None:
    (tmp_path / "mine.pl").write_text("a.")
    assert find_program(tmp_path / "mine.pl") == tmp_path / "mine.pl"
    assert find_program("addition").name == find_program("addition.pl").name == "addition.pl"
    with pytest.raises(UserError, match="one of addition, "):
        find_program("nosuch")


def test_a_program_is_parsed_once(monkeypatch) -> None:
    texts = []

    def parse(text, *args, **kwargs):
        texts.append(text)
        return syntax.parse(text, *args, **kwargs)

    monkeypatch.setattr("gedi_nesy.logic.program.parse", parse)
    rule = Constraint.from_file("addition")
    assert texts == [find_program("addition").read_text()]
    assert rule.program.source.text == texts[0]
    Constraint(rule.program.source)
    assert len(texts) == 1


def test_learnable_probabilities_have_the_names_of_their_heads() -> None:
    text = "t(0.2) :: coin(1); t(_) :: coin(2).\nt(0.4) :: rain.\nt(0.5) :: rain :- coin(1). q :- rain, coin(2)."
    program = Constraint(text, "q").program
    assert program.parameter_names == ["coin(1)", "coin(2)", "rain, the program:2:11", "rain, the program:3:11"]
    assert [parameter.start for parameter in program.parameters] == [0.2, 0.8, 0.4, 0.5]
