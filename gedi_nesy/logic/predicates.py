"""The predicates of a program by name and arity, and which of them call each other."""

import re
from collections.abc import Iterator

from problog.engine import DefaultEngine
from problog.logic import And, AnnotatedDisjunction, Clause, Not, Or, Term

from gedi_nesy.errors import did_you_mean
from gedi_nesy.logic.database import LIBRARIES, LIBRARY
from gedi_nesy.logic.program import Program


def what_was_meant(signature: str, program: Program) -> str:
    """A hint at the predicate that was meant by an unknown one, such as 'dgit'/2."""
    name, arity = signature.rsplit("/", 1)
    name = name.strip("'")
    known = [*_calls(program), *(one.replace("'", "") for one in DefaultEngine().get_builtins())]
    arities = sorted({int(one.rsplit("/", 1)[1]) for one in known if one.rsplit("/", 1)[0] == name})
    if arities:
        return f"; {name} takes {' or '.join(map(str, arities))} argument{'s' * (arities != [1])}, not {arity}"
    library = _library_of(name)
    if library:
        return f"; it is in a library: add the line :- use_module(library({library}))."
    return did_you_mean(f"{name}/{arity}", known)


def _library_of(name: str) -> str | None:
    """The library of ProbLog that defines a predicate of this name, among those that a program may load."""
    clause = re.compile(rf"^{re.escape(name)}\(", re.MULTILINE)
    files = (LIBRARY / f"{library}.pl" for library in LIBRARIES)
    return next((file.stem for file in files if clause.search(file.read_text(encoding="utf-8"))), None)


def calling_each_other(program: Program) -> list[list[str]]:
    """The groups of predicates, such as ["even/1", "odd/1"], that call one another in a circle; two or more each."""
    calls = _calls(program)
    reach = {name: _reachable(name, calls) for name in calls}
    groups = [sorted(other for other in reach[name] if name in reach.get(other, ())) for name in calls]
    return [list(group) for group in dict.fromkeys(map(tuple, groups)) if len(group) > 1]


def _reachable(name: str, calls: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(calls[name])
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += calls.get(one, ())
    return found


def _calls(program: Program) -> dict[str, set[str]]:
    """For each predicate that the program defines those that it calls."""
    calls: dict[str, set[str]] = {}
    for statement in program.statements:
        heads, body = _parts(statement)
        for head in heads:
            calls.setdefault(_name(head), set()).update(_goals(body))
    return {name: called for name, called in calls.items() if name not in ("query/1", "evidence/1", "evidence/2")}


def _parts(statement: Term) -> tuple[list[Term], Term | None]:
    if isinstance(statement, AnnotatedDisjunction):
        return statement.heads, statement.body
    if isinstance(statement, Clause):
        return [statement.head], statement.body
    return (statement.to_list() if isinstance(statement, Or) else [statement]), None


def _goals(body: Term | None) -> Iterator[str]:
    if isinstance(body, And | Or):
        yield from _goals(body.op1)
        yield from _goals(body.op2)
    elif isinstance(body, Not):
        yield from _goals(body.child)
    elif isinstance(body, Term):
        yield _name(body)


def _name(term: Term) -> str:
    return f"{str(term.functor).strip(chr(39))}/{term.arity}"
