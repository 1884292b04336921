"""The goal of a constraint: which of its variables are images, and which are arguments."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from problog.logic import Clause, Term, Var

from gedi_nesy.errors import UserError
from gedi_nesy.logic.ground import Value
from gedi_nesy.logic.program import Program, Source, is_compound, to_term

LONGEST = 100_000  # list of values


class Query:
    """The goal of a constraint. Each of its variables is an image or an argument.

    Args:
        program: the program that is asked.
        goal: its text or its term; by default the program's own query/1.
        arguments: the variables whose value differs by example; `S:3` is an argument S whose values are lists of three.
        evidence: goals about the same images whose truth differs by example.

    Attributes:
        goal: the goal.
        names: of all variables.
        images: of those that networks read.
        arguments: of those whose value differs by example.
        lengths: of the arguments that are lists.
        evidence: the goals whose truth differs by example, by their text.

    Raises:
        UserError: the goal has an error, an argument is no variable of it, or the program has not one query/1.
    """

    def __init__(
        self, program: Program, goal: str | Term | None, arguments: Sequence[str], evidence: Sequence[str] = ()
    ) -> None:
        if goal is None:
            goal = _goal_of(program.source)
        self.goal = parse_goal(goal) if isinstance(goal, str) else goal
        self.names = tuple(dict.fromkeys(_variable_names(self.goal)))
        declared = [_declared(text) for text in ([arguments] if isinstance(arguments, str) else arguments)]
        self.arguments = tuple(name for name, _ in declared)
        self.lengths = {name: length for name, length in declared if length is not None}
        self.images = tuple(name for name in self.names if name not in self.arguments)
        if "_" in self.names:
            raise UserError(f"the query {self.goal} has a nameless variable: name it, as an image or in arguments=")
        for name in self.arguments:
            if name not in self.names:
                raise UserError(f"argument {name} is no variable of the query {self.goal}")
        self.evidence = {text: parse_goal(text, "evidence") for text in evidence}
        for text, goal in self.evidence.items():
            others = [name for name in _variable_names(goal) if name in self.arguments]
            if others:
                raise UserError(f"evidence {text} has the argument {others[0]}: it can tell about images only")

    def given(self, answer: Sequence[Value]) -> Term:
        """The goal with these values for its arguments."""
        values = dict(zip(self.arguments, map(to_term, answer), strict=True))
        return self.goal.apply({name: values.get(name, Var(name)) for name in self.names})


def _declared(argument: str) -> tuple[str, int | None]:
    """An argument's name, and its length where it is a list."""
    name, colon, length = argument.partition(":")
    if not colon:
        return name, None
    if not length.isdecimal() or not 1 <= int(length) <= LONGEST:
        raise UserError(f"argument {argument}: write {name}:3 for a list of three values, of {LONGEST:,} at most")
    return name, int(length)


def parse_goal(text: str, name: str = "the query") -> Term:
    """A goal, or another term, from its text.

    Args:
        text: with or without a full stop.
        name: what errors call it.

    Raises:
        UserError: a syntax error, or more than a goal.
    """
    statements = Source(text.rstrip().removesuffix(".") + ".", name, Path()).statements
    if len(statements) != 1 or isinstance(statements[0], Clause):
        raise UserError(f"{name} must be one goal, such as addition(X,Y,Z), not {text}")
    _forget_place(statements[0])
    return statements[0]


def _forget_place(term: Any) -> None:
    """ProbLog would take a place in the query's text for one in the program."""
    if isinstance(term, Term):
        term.location = None
        for argument in term.args:
            _forget_place(argument)


def _goal_of(source: Source) -> Term:
    goals = {str(s.args[0]): s.args[0] for s in source.statements if is_compound(s, "query") and s.arity == 1}
    if len(goals) != 1:
        found = f"{len(goals)} queries ({', '.join(goals)})" if goals else "no query/1 without a body"
        raise UserError(
            f"{source.name} has {found}: say which goal to use, such as query='addition(X,Y,Z)', or --query"
        )
    return next(iter(goals.values()))


def _variable_names(term: Any) -> Iterator[str]:
    if isinstance(term, Var):
        yield str(term)
    elif isinstance(term, Term):
        for argument in term.args:
            yield from _variable_names(argument)
