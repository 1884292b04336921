"""The clauses that a call with tokens may use, their heads written so that no token ever meets a constant in them.

    p(0, [X|Xs], X) :- body.    is called as    p(A, [X|Xs], B) :- A = 0, B = X, body.

so that what a token has to be equal to is a condition of the proof, by =/2.
"""

from collections.abc import Sequence
from typing import Any

from problog.logic import Term, is_variable

from gedi_nesy.logic.tokens import Token, first_token


class Candidates:
    """Stands in for ProbLog's index of a predicate's clauses.

    Args:
        database: in which the clauses are.
        index: ProbLog's.
    """

    def __init__(self, database: Any, index: Any) -> None:
        self.database, self.index = database, index

    def find(self, arguments: Sequence[Any]) -> list[int]:
        """The clauses whose heads these arguments may match.

        Raises:
            LookedInto: a head looks inside of a token.
        """
        known = [None if first_token([argument]) is not None else argument for argument in arguments]
        found = []
        for number in self.index.find(known):
            node = self.database.get_node(number)
            for argument, own in zip(arguments, getattr(node, "args", ()), strict=False):
                _check(argument, own)
            found.append(self.database.without_constants(number))
        return found


def _check(argument: Any, own: Any) -> None:
    """Refuse an argument of a head that takes a token apart."""
    if is_variable(argument) or is_variable(own):
        return
    if isinstance(argument, Token):
        if not own.is_ground():
            argument.refuse("a clause")
    elif argument.signature == own.signature:
        for part, of_own in zip(argument.args, own.args, strict=True):
            _check(part, of_own)


def linear(arguments: Sequence[Any], varcount: int) -> tuple[list[Any], list[tuple[int, Any]]]:
    """The arguments of a head, each constant and each variable's second place replaced by a new variable.

    Args:
        arguments: variables are numbers.
        varcount: the number of variables so far.

    Returns:
        The new arguments, and what each new variable has to be equal to.
    """
    seen: set[int] = set()
    equations: list[tuple[int, Any]] = []

    def replaced(term: Any) -> Any:
        if term is None:
            return None
        if isinstance(term, int) and term not in seen:
            seen.add(term)
            return term
        if isinstance(term, Term) and not term.is_ground():
            return term.with_args(*map(replaced, term.args))
        equations.append((varcount + len(equations), term))
        return equations[-1][0]

    return [replaced(argument) for argument in arguments], equations
