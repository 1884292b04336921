"""Several queries of one program in one run: each example belongs to one of them, and they share the networks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from torch import Tensor, nn

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Key, Variable
from gedi_nesy.logic.program import Program, Source
from gedi_nesy.logic.query import Query

T = TypeVar("T")


class Queries(nn.Module):
    """Queries of one program, which learn the same probabilities `t(...)`.

    Args:
        constraints: one for each query.

    Attributes:
        variables: of all queries; a key is the number of the query, from 0, and the variable's own key.
    """

    def __init__(self, constraints: Sequence[Constraint]) -> None:
        super().__init__()
        first, *others = constraints
        for other in others:
            other.weights.logits = first.weights.logits
        self._parts = nn.ModuleList(constraints)
        self.variables: tuple[Variable, ...] = tuple(
            replace(variable, key=(number, variable.key))
            for number, constraint in enumerate(constraints)
            for variable in constraint.variables
        )

    @property
    def parts(self) -> list[Constraint]:
        """One for each query."""
        return [part for part in self._parts if isinstance(part, Constraint)]

    def marginals(self) -> dict[Key, Tensor]:
        """For each variable its marginal under its query, [classes]."""
        return join(self, [part.marginals() for part in self.parts])


Rule = Constraint | Queries


def parts_of(rule: Rule) -> list[Constraint]:
    """The constraint of each query."""
    return rule.parts if isinstance(rule, Queries) else [rule]


def split(rule: Rule, by_key: Mapping[Key, T]) -> list[dict[Key, T]]:
    """For each query the values of its variables, by their own keys."""
    if not isinstance(rule, Queries):
        return [dict(by_key)]
    parts: list[dict[Key, T]] = [{} for _ in rule.parts]
    for (number, key), value in by_key.items():
        parts[number][key] = value
    return parts


def join(rule: Rule, parts: Sequence[Mapping[Key, T]]) -> dict[Key, T]:
    """The values of all queries' variables, from a mapping for each query; the reverse of `split`."""
    if not isinstance(rule, Queries):
        return dict(parts[0])
    return {(number, key): value for number, part in enumerate(parts) for key, value in part.items()}


def ask(program: Source, query: str | Sequence[str] | None, arguments: Sequence[str], *, trust: bool = False) -> Rule:
    """The rule of a program for one query, or for several.

    Args:
        program: the text.
        query: the goal or goals; by default the program's own.
        arguments: variables that are no images; each query has those that it names.
        trust: allow the program to import Python and to consult files outside its folder.

    Raises:
        UserError: as `Constraint`, or the queries are not different, or none has one of the arguments.
    """
    constraints = [Constraint(program, *one, trust=trust) for one in asked(program, query, arguments)]
    return Queries(constraints) if len(constraints) > 1 else constraints[0]


def asked(
    program: Source, query: str | Sequence[str] | None, arguments: Sequence[str]
) -> list[tuple[str | None, Sequence[str]]]:
    """Each query with its own arguments; see `ask`."""
    if query is None or isinstance(query, str):
        return [(query, arguments)]
    names = [Query(Program(program), text, ()).names for text in query]
    for argument in arguments:
        if not any(_name(argument) in own for own in names):
            raise UserError(f"argument {_name(argument)} is no variable of the queries {'; '.join(query)}")
    own = [[argument for argument in arguments if _name(argument) in known] for known in names]
    return list(zip(query, own, strict=True))


def _name(argument: str) -> str:
    return argument.partition(":")[0]
