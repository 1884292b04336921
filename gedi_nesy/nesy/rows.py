"""The rows of a user's table that deserve a look: those that are least likely under the rule."""

import math
from typing import Any

from torch import Tensor, nn

from gedi_nesy.logic.arguments import written
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.evaluate import Fit, fit_to_rule
from gedi_nesy.nesy.recipe import Stage

MOST, LEAST = 1000, 12  # rows that are listed: as many as break the rule, but no more and no fewer than these


def score_rows(
    networks: nn.ModuleDict, constraint: Constraint, loader: Loader, prefix: str, stage: Stage | None = None
) -> dict[str, Any]:
    """How a rule fares on a table.

    Args:
        networks: by their names in the program.
        constraint: the rule.
        loader: the table's examples.
        prefix: of the means' names, "train_" or "test_".
        stage: of training, whose views tell a wrong row better, if any.

    Returns:
        The `figures` of the fit; how many rows `break_the_rule`; and as many `doubtful_rows`, LEAST or more, the least
        likely first: each with its `line` in the file, the `symbols` seen, the `arguments`, whether it `breaks` the
        rule, and its `log_prob` (None where that is -inf).
    """
    return row_figures(fit_to_rule(networks, constraint, loader, stage=stage), constraint, loader, prefix)


def row_figures(fit: Fit, constraint: Constraint, loader: Loader, prefix: str) -> dict[str, Any]:
    """What `score_rows` gives, from the fit of the table's examples."""
    return {
        **fit.figures(prefix),
        "break_the_rule": int((fit.satisfied == 0).sum()),
        "doubtful_rows": [_row(number, fit, constraint, loader) for number in doubtful(fit).tolist()],
    }


def doubtful(fit: Fit) -> Tensor:
    """The numbers of the examples to look at, the least likely first; as many as break the rule, LEAST to MOST."""
    broken = int((fit.satisfied == 0).sum())
    return fit.viewed.argsort(stable=True)[: min(max(broken, LEAST), MOST)]


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
