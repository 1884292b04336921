"""The rows of a user's table that deserve a look: those that break the rule, and those least likely under it."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from gedi_nesy.logic.arguments import written
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.evaluate import Fit, fit_to_rule

BROKEN, SHOWN = 100, 12  # rows that break the rule are listed up to so many; with the least likely, so many at least


def score_rows(networks: nn.ModuleDict, constraint: Constraint, loader: Loader, prefix: str) -> dict[str, Any]:
    """How a rule fares on a table.

    Args:
        networks: by their names in the program.
        constraint: the rule.
        loader: the table's examples.
        prefix: of the means' names, "train_" or "test_".

    Returns:
        The `figures` of the fit; how many rows `break_the_rule`; and `doubtful_rows`, the first BROKEN of these, then
        the least likely others, SHOWN in all if the broken are no more: each with its `line` in the file, the `symbols`
        seen, the `arguments`, whether it `breaks` the rule, and its `log_prob` (None where that is -inf).
    """
    return row_figures(fit_to_rule(networks, constraint, loader), constraint, loader, prefix)


def row_figures(fit: Fit, constraint: Constraint, loader: Loader, prefix: str) -> dict[str, Any]:
    """What `score_rows` gives, from the fit of the table's examples."""
    return {
        **fit.figures(prefix),
        "break_the_rule": int((fit.satisfied == 0).sum()),
        "doubtful_rows": [_row(number, fit, constraint, loader) for number in doubtful(fit).tolist()],
    }


def doubtful(fit: Fit) -> Tensor:
    """The numbers of the examples to look at: the first BROKEN that break the rule, then those least likely under it,
    SHOWN in all if the broken are no more; each part from the least likely on.
    """
    by_likelihood = fit.log_prob.argsort(stable=True)
    breaks = (fit.satisfied == 0)[by_likelihood]
    broken = by_likelihood[breaks][:BROKEN]
    return torch.cat([broken, by_likelihood[~breaks][: max(SHOWN - len(broken), 0)]])


def _row(number: int, fit: Fit, constraint: Constraint, loader: Loader) -> dict[str, Any]:
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
