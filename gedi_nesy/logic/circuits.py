"""A rule's circuits, each laid out when it is first needed."""

from collections.abc import Callable, Sequence

import torch

from gedi_nesy.logic.circuit import Circuit
from gedi_nesy.logic.compiled import Compiled, smoothed
from gedi_nesy.logic.diagram import FALSE, TRUE
from gedi_nesy.logic.layout import plan_layers


class Circuits:
    """The circuits of one rule, by kind and device.

    | kind | diagram | roots |
    | --- | --- | --- |
    | sum | the rule's | the answers, with arguments also an impossible one; with evidence, the evidence last |
    | posterior | the rule's, smooth | the answers, an impossible one |
    | max | facts below the neural variables, smooth; maximised above them | the answers, an impossible one |

    Args:
        compiled: the rule's diagrams.
        facts_last: compiles the rule with its facts ordered last.
        first_row: for each variable of the ground program, the row where its literals start.
        neural: how many of these variables are neural.
        several: whether the query has arguments, and so perhaps several answers.
    """

    def __init__(
        self,
        compiled: Compiled,
        facts_last: Callable[[], Compiled],
        first_row: Sequence[int],
        neural: int,
        several: bool,
    ) -> None:
        self.compiled, self.facts_last = compiled, facts_last
        self.first_row, self.neural, self.several = first_row, neural, several
        self._known: dict[tuple[str, torch.device], Circuit] = {}

    def get(self, kind: str, device: torch.device) -> Circuit:
        """The circuit of a kind on a device."""
        if (kind, device) not in self._known:
            self._known[kind, device] = self._lay_out(kind, device)
        return self._known[kind, device]

    def _lay_out(self, kind: str, device: torch.device) -> Circuit:
        compiled = self.compiled
        if kind == "max":
            compiled = smoothed(self.facts_last())
        elif kind == "posterior":
            compiled = smoothed(compiled)
        roots = [*compiled.roots.values(), FALSE]
        if kind == "sum":
            roots = roots if self.several else roots[:1]
            roots += [compiled.evidence] if compiled.evidence != TRUE else []
        first_row = [self.first_row[variable] for variable in compiled.order]
        maximise_above = self.neural if kind == "max" else 0
        return Circuit(plan_layers(compiled.nodes, roots, first_row, maximise_above), device)
