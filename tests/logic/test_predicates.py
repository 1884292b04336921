"""What was meant by a predicate that is not there, and which ones call each other."""

import pytest

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint

DIGIT = "nn(digits,[X],Y,[0,1,2,3]) :: digit(X,Y).\n"
SUM = DIGIT + "sum(X,Y,Z) :- digit(X,A), digit(Y,B), Z is A+B.\n"
CIRCLE = "ping(X,N) :- M is N+1, pong(X,M). pong(X,N) :- M is N+1, \\+ ping(X,M). ping(X,0) :- digit(X,0).\n"


@pytest.mark.parametrize(
    ("program", "query", "hint"),
    [
        (SUM.replace("digit(X,A)", "dgit(X,A)"), "sum(X,Y,3)", "'dgit/2' at 2:15 (did you mean 'digit/2'?)"),
        (SUM.replace("digit(X,A)", "digit(X,A,0)"), "sum(X,Y,3)", "digit takes 2 arguments, not 3"),
        (SUM, "som(X,Y,3)", "(did you mean 'sum/3'?)"),
        (SUM, "sum(X,Y)", "sum takes 3 arguments, not 2"),
        (SUM + "s(X) :- digit(X,A), betwen(1,2,A).", "s(X)", "(did you mean 'between/3'?)"),
        (SUM + "s(X) :- digit(X,A), maplist(d,[A],[2]).", "s(X)", "add the line :- use_module(library(apply))."),
    ],
)
def test_an_unknown_predicate_comes_with_what_was_meant(program, query, hint):
    with pytest.raises(UserError) as refused:
        Constraint(program, query)
    assert hint in str(refused.value)


def test_predicates_that_call_each_other_are_named():
    with pytest.raises(UserError, match=r"note that ping/2 and pong/2 call each other$"):
        Constraint(DIGIT + CIRCLE, "ping(X,1)", seconds=1)
    with pytest.raises(UserError) as alone:
        Constraint(DIGIT + "loop(X,N) :- M is N+1, loop(X,M).", "loop(X,1)", seconds=1)
    assert "each other" not in str(alone.value)
