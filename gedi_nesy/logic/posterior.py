"""What a rule that holds says of its symbols and of its arguments: the most probable ones, marginals and draws."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from gedi_nesy.logic.circuits import Circuits
from gedi_nesy.logic.diagram import TRUE
from gedi_nesy.logic.ground import GroundProgram, Key


class Posterior:
    """p(symbols, arguments | rule holds, images), asked of the rule's circuits.

    Every method takes the columns of a call, log-weights [batch, values]: `Columns.read`, or `Columns.read_open`.

    Args:
        ground: the ground program.
        circuits: the rule's.
    """

    def __init__(self, ground: GroundProgram, circuits: Circuits) -> None:
        self.circuits = circuits
        rows = [slice(*pair) for pair in pairwise(circuits.first_row)]  # of each variable's literals
        self._symbols = {variable.key: own for variable, own in zip(ground.variables, rows, strict=False)}
        self._arguments = rows[len(rows) - len(ground.arguments) :]

    def most_probable(self, columns: Sequence[Tensor]) -> tuple[dict[Key, Tensor], Tensor]:
        """For each key the index of its most probable symbol, [batch]; and log P(these, rule), [batch]."""
        value, chosen = self.circuits.get("symbols", columns[0].device).choices(columns)
        return self._indices(chosen), value - self._log_evidence(columns)

    def most_probable_answer(self, columns: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The numbers of the most probable arguments, [batch, arguments]; and log P(these, rule), [batch]."""
        value, chosen = self.circuits.get("answer", columns[0].device).choices(columns)
        numbers = torch.stack([chosen[rows].argmax(0) for rows in self._arguments], 1)
        return numbers, value - self._log_evidence(columns)

    def log_marginals(self, columns: Sequence[Tensor]) -> tuple[dict[Key, Tensor], list[Tensor]]:
        """log P(value | rule) for each key and for each argument, [batch, values]; -inf where it is impossible."""
        flow = self.circuits.get("posterior", columns[0].device).log_flow(columns)
        symbols = {key: flow[rows].t() for key, rows in self._symbols.items()}
        return symbols, [flow[rows].t() for rows in self._arguments]

    def sample(self, columns: Sequence[Tensor], generator: torch.Generator | None) -> tuple[dict[Key, Tensor], Tensor]:
        """For each key the index of a symbol, drawn jointly, [batch]; and log P(rule, evidence), [batch]."""
        value, drawn = self.circuits.get("posterior", columns[0].device).sample(columns, generator)
        return self._indices(drawn), value

    def _indices(self, literals: Tensor) -> dict[Key, Tensor]:
        return {key: literals[rows].argmax(0) for key, rows in self._symbols.items()}

    def _log_evidence(self, columns: Sequence[Tensor]) -> Tensor | float:
        """log P(evidence), [batch]; 0 where there is none."""
        if self.circuits.compiled.evidence == TRUE:
            return 0.0
        return self.circuits.get("evidence", columns[0].device).log_prob(columns)
