"""What bounds and draws say of a rule whose diagram outgrows the budget, where all symbols are alike."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.logic.arguments import Arguments
from gedi_nesy.logic.ground import Key
from gedi_nesy.logic.ground_rule import NODES, TRIAL, GroundRule
from gedi_nesy.nesy.table import read_lines, read_value

DRAWS = 1000  # of a refusal


def bound_rule(
    program: str,
    query: str | None,
    arguments: Sequence[str],
    seconds: float,
    trust: bool = False,
    *,
    nodes: int | None = None,
    draws: int | None = None,
    data: Path | None = None,
) -> dict[str, Any]:
    """Bounds of log P(rule), and its estimate from draws, in plain values; every symbol is as probable as the others.

    Args:
        program: a file, or the name of a program that comes with the package.
        query: the goal; by default the program's own.
        arguments: variables of the query that are no images.
        seconds: budget for grounding.
        trust: allow the program to import Python and to consult files outside its folder.
        nodes: of the diagram, to expand; by default as many as `GroundRule.bounds` expands.
        draws: how many solutions to draw; None for none.
        data: a table whose first example gives the arguments' values.

    Raises:
        UserError: the program has an error, or the query has arguments and there is no table, or no draw is a solution.
    """
    rule = GroundRule.from_file(program, query, arguments, seconds=seconds, trust=trust)
    inputs, given, nodes = _all_alike(rule), _first_answer(rule, data), nodes or NODES
    bounds = rule.bounds(inputs, given, nodes=nodes)
    figures: dict[str, Any] = {
        "query": str(rule.query.goal),
        "variables": len(rule.variables),
        "nodes": bounds.nodes,
        "lower": None if bounds.lower.isneginf() else bounds.lower.item(),  # JSON knows no -inf
        "upper": bounds.upper.item() + 0.0,
    }
    if draws is not None:
        drawn = rule.sampled(inputs, given, draws=draws, nodes=nodes, generator=torch.Generator().manual_seed(0))
        figures |= {"draws": draws, "accepted": int(drawn.accepted), "log_prob": drawn.log_prob.item()}
        figures |= {"standard_error": drawn.error.item()}
    return figures


def bounds_instead(
    program: str, query: str | None, arguments: Sequence[str], seconds: float, trust: bool, data: Path | None
) -> str:
    """What bounds and draws come to for a rule that was refused, as a sentence; it says why where there are none.

    Args:
        program, query, arguments, trust, data: as for `bound_rule`.
        seconds: budget of CPU time. Bounds are taken by twice as many nodes each time, while there is time left for
            the next ones, which cost twice these, and for draws, which cost as much again.
    """
    started = time.process_time()
    try:
        rule = GroundRule.from_file(program, query, arguments, seconds=seconds, trust=trust)
        inputs, given, nodes, spent = _all_alike(rule), _first_answer(rule, data), TRIAL, 0.0
        while True:
            before = spent
            bounds = rule.bounds(inputs, given, nodes=nodes)
            spent = time.process_time() - started
            if bounds.nodes < nodes or spent + 4 * (spent - before) > seconds:
                break
            nodes *= 2
    except UserError as error:
        return f"Bounds were not tried: {error}"
    drawn, spent = _drawn(rule, inputs, given, nodes), time.process_time() - started
    return f"In {spent:.2g} s of CPU time, all symbols equally probable: {bounds}; {drawn}"


def _drawn(rule: GroundRule, inputs: Mapping[Key, Tensor], given: Arguments | None, nodes: int) -> str:
    """How many draws satisfy the rule, or why there are none."""
    try:
        drawn = rule.sampled(inputs, given, draws=DRAWS, nodes=nodes, generator=torch.Generator().manual_seed(0))
    except UserError as error:
        return str(error)
    return f"{int(drawn.accepted):,} of {DRAWS:,} draws satisfied it"


def _all_alike(rule: GroundRule) -> dict[Key, Tensor]:
    """The log-probabilities of one example whose symbols are all as probable as the others."""
    sizes = {variable.key: len(variable.domain) for variable in rule.variables}
    return {key: torch.full((1, size), 1 / size, dtype=torch.double).log() for key, size in sizes.items()}


def _first_answer(rule: GroundRule, data: Path | None) -> dict[str, list[object]] | None:
    """The arguments' values in the first line of a table."""
    if not rule.arguments:
        return None
    if data is None:
        raise UserError(f"The query has arguments: give --data, a table that has {', '.join(rule.arguments)}.")
    first = next(iter(read_lines(data, list(rule.arguments)).values()))
    known = {name: rule.argument_values(name)[0] for name in rule.arguments}
    return {name: [read_value(first[name], name, values)] for name, values in known.items()}
