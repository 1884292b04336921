"""Goals as ISO Prolog answers them, whatever ProbLog's own reading, order and arithmetic say."""

import threading

import pytest

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint

pytestmark = pytest.mark.filterwarnings("ignore:The use of:UserWarning")  # of ==, by ProbLog

LISTS = ":- use_module(library(lists)). "
STRING = ":- use_module(library(string)). "


@pytest.mark.parametrize(
    "goal",
    [
        *("9 @< 10", "2.5 @< 9", "10 @>= 9.0", "7.0 @< 7", "'B' @< a", "f(b) @< g(a)", "z @< f(a)", 'b @> "c"'),
        *("compare(<,9,10)", "compare(O,f(2),f(10)), O == (<)", "sort([10,9,9,b,'A b'],[9,10,'A b',b])"),
        *("max_member([9,10,2],10)", "is_list([a,b])", "\\+ is_list([a|_])", "\\+ subsumes_term(f(1),2)"),
        *("'a' == a", "X = 'a', X == a", "f('b') == f(b)", "X = f(+), X == f('+')", "X =.. [+,1,2], X == 1+2"),
        *("functor(a+b,N,2), N == +", "'[]' == []", "member('a',[a])", "'A' \\== a", "'007' \\= 7", "'a' \\== b"),
        *("-3 is -7 // 2", "3 is -7 // -2", "-3 is -7 rem 4", "3 is 7 rem -4", "1 is -7 mod 4", "-2 is -7 div 4"),
        *("3 is round(2.5)", "-3 is round(-2.5)", "0 is round(0.4)", "1.0 is sign(2.5)"),
        *("4 is -2**2", "-4 is - 2**2", "4 is (-2)**2", "-1 is (-1)^(-3)", "2.0 is float_integer_part(2.5)"),
        *("atom_number('12',12)", "atom_number('12',N), N == 12", "atom_number('2.5',2.5)", "\\+ atom_number(a,_)"),
        *("\\+ atom_number('12',13)", "\\+ atom_number('1e400',_)", "atom_number(A,12), atom_number(A,12)"),
        *("once(member(X,[a,b])), X == a", "\\+ (once(member(X,[a,b])), X = b)", "once(fail) ; true"),
        *("findall(_,member(_,[a,b]),L), L = [_,_]", "findall(X,member(X,[a,b]),_)", "str2int('12',12)"),
        *('str2int("-3",-3)', "permutation([1,0],[0,1])", "list_to_set([a,b,a],[a,b])"),
    ],
)
def test_what_holds(goal):
    assert Constraint(LISTS + STRING + f"q :- {goal}.", "q").log_prob({}).item() == 0


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("0.3::s(1). 0.5::s(2). 0.7::s(3). q :- once(s(X)), X >= 2.", 0.7 * (1 - 0.5 * 0.3)),  # not 1, and 2 or 3
        ("0.3::s(1). 0.5::s(2). q :- \\+ once(s(X)).", 0.7 * 0.5),
        ("0.3::a. 0.5::b. t(1) :- \\+ b. t(2) :- a. t(3). q :- once(t(X)), X = 3.", 0.5 * 0.7),  # b, and not a
        ("0.3::a. 0.5::b. t(1) :- a. t(1) :- b. q :- once(t(1)).", 1 - 0.7 * 0.5),
        ("0.3::a. 0.4::b. t(1) :- b. t(2) :- a. t(3) :- b. q :- findall(X,t(X),[1,2,3]).", 0.3 * 0.4),
        ("0.3::a. 0.4::b. t(1) :- a. t(2) :- \\+ b. q :- findall(X,t(X),[1,2]).", 0.3 * 0.6),
        ("0.3::p('a'). q :- p(a).", 0.3),
        ("0.3::p(a). q :- p('a').", 0.3),
    ],
)
def test_probabilities(program, expected):
    assert Constraint(program, "q").log_prob({}).exp().item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("program", "expected"),  # by hand, in Prolog's order
    [
        ("0.5::a. 0.4::b. t(3) :- b. t(1) :- a. t(2) :- \\+b. t(4) :- a.", {(3, 1, 4): 0.2, (3,): 0.2, (1, 2, 4): 0.3}),
        ("0.5::a. 0.4::b. t(3) :- b. t(1) :- a. t(2). t(1) :- b.", {(3, 1, 2, 1): 0.2, (3, 2, 1): 0.2, (1, 2): 0.3}),
        ("0.4::b. t(X) :- member(X,[1,2,1]). t(0) :- b.", {(1, 2, 1, 0): 0.4, (1, 2, 1): 0.6}),
    ],
)
def test_findall_lists_every_proof_and_in_prolog_s_order_where_no_answer_has_two(program, expected):
    rule = Constraint(f"{LISTS}{program} q(L) :- findall(X,t(X),L).", "q(L)", ("L",))
    lists = [found for (found,) in rule.answers if isinstance(found, tuple)]
    one_proof = all(len(set(found)) == len(found) for found in lists)
    key = tuple if one_proof else sorted
    for wanted, probability in expected.items():
        (found,) = [found for found in lists if key(found) == key(wanted)]
        assert rule.log_prob({}, {"L": [found]}).exp().item() == pytest.approx(probability)


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ("X is exp(10000)", r"exp of 10000 is no number, or has more than 4,300 digits at 1:"),
        ("X is (-8)**(1/3)", "is no number"),
        ('X is "3"+1', '"3" is text, not a number'),
        ('"3" < 4', '"3" is text, not a number'),
        ("X is 9**(9**9)", "more than 4,300 digits"),
        ("X is 1<<100000000000", "more than 4,300 digits"),
        ("X is 10**4000*10**400", "more than 4,300 digits"),
        ("X is 1.0e308*10", "too large"),
        ("X is 2^(-1)", "is no number"),
        ("X is 7.5//2", "only of whole numbers"),
        ("X is 1.5/\\2", "only of whole numbers"),
        ("X is integer(inf)", "is no number"),
        ("X is sqrt(-1)", "is no number"),
        ("X is 5/0", "Division by zero"),
        ("X is nosuch(1)", "Unknown function nosuch/1"),
        ("1 @< 2.5", "the standard order of 1 and 2.5 is not the same everywhere"),
        ("sort([1.5,2,1],L)", "the standard order of"),
        ("str2int(abc,X)", "str2int: abc is no whole number"),
        ("use_module(library(assert))", r"the program loads library\(assert\), but what it adds in one possible world"),
        ("use_module(library(record))", "what it records in one possible world"),
        ("use_module(library(aproblog))", r"with \+ and \* only"),
        ("sample_uniform1(k,[a,b],X)", "sample_uniform1/3 can't be used"),
        ("seq(X)", "seq/1 can't be used"),
        ("once((member(X,[a,b]) ; p(X)))", "one of its answers has several proofs"),
    ],
)
def test_what_is_refused(goal, message):
    with pytest.raises(UserError, match=message):
        Constraint(LISTS + STRING + f"q :- {goal}. 0.3::p(a).", "q")


def test_a_failing_builtin_is_named(tmp_path):
    (tmp_path / "code.py").write_text(
        "from problog.extern import problog_export\n@problog_export('+int', '-int')\ndef half(x):\n    return {}[x]\n"
    )
    with pytest.raises(UserError, match=r"the program: ProbLog fails at 2:6: KeyError\(3\); write this goal otherwise"):
        Constraint(":- use_module('code.py').\nq :- half(3,X).", "q", folder=tmp_path, trust=True)


def test_programs_of_one_process_share_no_library():
    text = LISTS + STRING + "0.4::a. q :- a, permutation([1,0],[0,1]), list_to_set([b,b],[b]), str2int('12',12)."
    values = []

    def ask(n):
        values.append(Constraint(f"{text} % {n}", "q").log_prob({}).exp().item())

    ask(0)
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [pytest.approx(0.4)] * 5
