"""The rows of a user's table that deserve a look: those that are least credible under the rule."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from gedi_nesy.logic.arguments import written
from gedi_nesy.nesy.evaluate import Fit, Fitted, fit_all, rule_figures
from gedi_nesy.nesy.joint import AnyLoader
from gedi_nesy.nesy.queries import Rule
from gedi_nesy.nesy.recipe import Stage

MOST, LEAST = 1000, 12  # rows that are listed: as many as break the rule, but no more and no fewer than these


def score_rows(
    networks: nn.ModuleDict, rule: Rule, loader: AnyLoader, prefix: str, stage: Stage | None = None
) -> dict[str, Any]:
    """How a rule fares on a table.

    Args:
        networks: by their names in the program.
        rule: one query, or several.
        loader: the table's examples.
        prefix: of the means' names, "train_" or "test_".
        stage: of training, whose views tell a wrong row better, if any.

    Returns:
        The `rule_figures` of the fit; how many rows `break_the_rule`; and of each query as many `doubtful_rows`, LEAST
        or more, the least credible first: each with its `line` in the file, its `symbols`, the `arguments`, whether
        it `breaks` the rule, and its `log_prob` (None where that is -inf).
    """
    return row_figures(fit_all(networks, rule, loader, stage), prefix)


def row_figures(parts: Sequence[Fitted], prefix: str) -> dict[str, Any]:
    """What `score_rows` gives, from the fit of the table's examples."""
    return {
        **rule_figures(parts, prefix),
        "break_the_rule": sum(int((part.fit.satisfied == 0).sum()) for part in parts),
        "doubtful_rows": [_row(number, part) for part in parts for number in doubtful(part.fit).tolist()],
    }


def doubtful(fit: Fit) -> Tensor:
    """The numbers of the examples to look at, the least credible first; as many as break the rule, LEAST to MOST."""
    broken = int((fit.satisfied == 0).sum())
    return fit.credible.argsort(stable=True)[: min(max(broken, LEAST), MOST)]


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
