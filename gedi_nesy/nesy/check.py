"""What a rule is before training: its variables, its size, its solutions, and what it can teach."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic.arguments import written
from gedi_nesy.logic.concept_maps import ConceptMaps
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.candidates import network_shapes
from gedi_nesy.nesy.explain import explain

if TYPE_CHECKING:
    from gedi_nesy.nesy.support import Support


def check_rule(
    program: str,
    query: str | None,
    arguments: Sequence[str],
    seconds: float,
    trust: bool = False,
    *,
    data: Path | None = None,
    support: Path | None = None,
) -> dict[str, Any]:
    """Compile a rule and describe it in plain values, ready for JSON.

    Args:
        program: a file, or the name of a program that comes with the package.
        query: the goal; by default the program's own.
        arguments: variables of the query that are no images.
        seconds: budget for compiling, and again for the search for concept maps.
        trust: allow the program to import Python and to consult files outside its folder.
        data: a table of examples; concept maps are those on the solutions with its answers.
        support: a table of symbols; concept maps are those on its assignments.

    Raises:
        UserError: if the program has an error or outgrows the budget, or a table can't be read.
    """
    started = time.monotonic()
    constraint = Constraint.from_file(program, query, arguments, seconds=seconds, trust=trust)
    compiled = time.monotonic() - started
    held = _held(data, support, constraint)
    maps = constraint.diagnose(held, seconds=seconds)
    return {
        "query": str(constraint.query.goal),
        "variables": _variables(constraint),
        "nodes": constraint.size,
        "seconds": round(compiled, 3),
        "solutions": constraint.count(),
        "example": _example(constraint),
        "concept_maps": _concept_maps(maps),
        "verdict": str(maps),
        "in_plain_words": [*_of_what(data, support, held), *explain(maps)],
        "obstacle": _obstacle(constraint),
    }


def _held(data: Path | None, support: Path | None, constraint: Constraint) -> "Support | None":
    """What examples hold of the rule's solutions, where a table says so."""
    if not (data or support):
        return None
    from gedi_nesy.nesy.support import listed_support, table_support  # here, because data sets take a second to load

    return table_support(data, constraint) if data else listed_support(support, constraint) if support else None


def _of_what(data: Path | None, support: Path | None, held: "Support | None") -> list[str]:
    """A sentence on what concept maps were counted on, where it is not the whole rule."""
    if held is None:
        return []
    drawn = len({tuple(row) for row in zip(*(map(str, column) for column in held.values()), strict=True)})
    if support:
        return [f"Of the rule's solutions only the {drawn:,} in {support} are looked at."]
    return [
        f"Of the rule's solutions only those with an answer in {data} are looked at, {drawn:,} of them; if the images "
        "show fewer, more names may fit."
    ]


def _obstacle(constraint: Constraint) -> str | None:
    """Why it can't be trained; None if it can."""
    try:
        network_shapes(constraint, {})
    except UserError as error:
        return str(error)
    return None


def _variables(constraint: Constraint) -> list[dict[str, Any]]:
    marginals = constraint.marginals()
    return [
        {
            "key": str(variable.key),
            "network": variable.network,
            "domain": [str(symbol) for symbol in variable.domain],
            "marginal": marginals[variable.key].tolist(),
        }
        for variable in constraint.variables
    ]


def _example(constraint: Constraint) -> dict[str, str]:
    """One satisfying assignment."""
    drawn = constraint.sample(1, torch.Generator().manual_seed(0))
    symbols = {str(v.key): str(v.domain[int(drawn[v.key][0])]) for v in constraint.variables}
    return symbols | {name: written(drawn[name][0]) for name in constraint.arguments}


def _concept_maps(maps: ConceptMaps) -> dict[str, Any]:
    return {
        "total": maps.total,
        "bijective": maps.bijective,
        "balanced": maps.balanced,
        "exact": maps.exact,
        "lower_bounds": list(maps.bounds),
        "examples": [
            {network: {str(a): str(b) for a, b in names.items()} for network, names in map_.items()}
            for map_ in maps.examples
        ],
        "confused": {
            network: [[str(symbol) for symbol in group] for group in groups]
            for network, groups in maps.confused.items()
        },
        "settled_by_labels": {network: [str(symbol) for symbol in labels] for network, labels in maps.labels.items()},
    }
