"""The rows of a user's table that deserve a look: those that break the rule, and those least likely under it."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gedi_nesy.logic.arguments import written
from gedi_nesy.nesy.evaluate import Fit, Fitted, fit_all, rule_figures
from gedi_nesy.nesy.joint import AnyLoader
from gedi_nesy.nesy.queries import Rule

BROKEN, SHOWN = 100, 12  # rows that break the rule are listed up to so many; with the least likely, so many at least


def score_rows(networks: nn.ModuleDict, rule: Rule, loader: AnyLoader, prefix: str) -> dict[str, Any]:
    """How a rule fares on a table.

    Args:
        networks: by their names in the program.
        rule: one query, or several.
        loader: the table's examples.
        prefix: of the means' names, "train_" or "test_".

    Returns:
        The `rule_figures` of the fit; how many rows `break_the_rule`; and `doubtful_rows`, of each query the first
        BROKEN of these, then the least likely others, SHOWN in all if the broken are no more: each with its `line` in
        the file, the `symbols` seen, the `arguments`, whether it `breaks` the rule, and its `log_prob` (None where that
        is -inf).
    """
    return row_figures(fit_all(networks, rule, loader), prefix)


def row_figures(parts: Sequence[Fitted], prefix: str) -> dict[str, Any]:
    """What `score_rows` gives, from the fit of the table's examples."""
    return {
        **rule_figures(parts, prefix),
        "break_the_rule": sum(int((part.fit.satisfied == 0).sum()) for part in parts),
        "doubtful_rows": [_row(number, part) for part in parts for number in doubtful(part.fit).tolist()],
    }


def doubtful(fit: Fit) -> Tensor:
    """The numbers of the examples to look at: the first BROKEN that break the rule, then those least likely under it,
    SHOWN in all if the broken are no more; each part from the least likely on.
    """
    by_likelihood = fit.log_prob.argsort(stable=True)
    breaks = (fit.satisfied == 0)[by_likelihood]
    broken = by_likelihood[breaks][:BROKEN]
    return torch.cat([broken, by_likelihood[~breaks][: max(SHOWN - len(broken), 0)]])


def _row(number: int, part: Fitted) -> dict[str, Any]:
    fit, constraint, loader = part.fit, part.constraint, part.loader
    log_prob = fit.log_prob[number].item()
    answers = loader.examples.answers
    answer = () if answers is None else constraint.answer_of(answers[number])
    return {
        "line": loader.examples.lines[number],
        "symbols": {str(v.key): str(v.domain[int(fit.symbols[v.key][number])]) for v in constraint.variables},
        "arguments": dict(zip(constraint.arguments, map(written, answer), strict=True)),
        "breaks": bool(fit.satisfied[number] == 0),
        "log_prob": log_prob if math.isfinite(log_prob) else None,
    }
