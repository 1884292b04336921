"""A rule's circuits, each laid out when it is first needed."""

from collections.abc import Callable
from itertools import accumulate

import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic.circuit import Circuit
from gedi_nesy.logic.compile import Tiers
from gedi_nesy.logic.compiled import Compiled, smoothed
from gedi_nesy.logic.diagram import TRUE
from gedi_nesy.logic.ground import GroundProgram
from gedi_nesy.logic.layout import plan_layers


class Circuits:
    """The circuits of one rule, by kind and device. Each has one root, the rule, or rule and evidence.

    | kind | diagram |
    | --- | --- |
    | sum | the rule's; with evidence, its root is the second |
    | evidence | the evidence's |
    | posterior | the rule's, smooth |
    | symbols | the facts below all else, smooth; maximised above them |
    | answer | the arguments above all else, smooth; maximised over them |

    Args:
        compiled: the rule's diagrams.
        ground: the ground program.
        ordered: compiles the rule with its variables in tiers.
    """

    def __init__(self, compiled: Compiled, ground: GroundProgram, ordered: Callable[[Tiers], Compiled]) -> None:
        self.compiled, self.ground, self.ordered = compiled, ground, ordered
        self.first_row = [0, *accumulate(ground.sizes)]  # of each variable's literals
        self._known: dict[tuple[str, torch.device], Circuit] = {}
        self._refused: dict[str, str] = {}  # why there is no circuit of a kind

    def get(self, kind: str, device: torch.device) -> Circuit:
        """The circuit of a kind on a device.

        Raises:
            UserError: it was not done within the budget, now or before.
        """
        if kind in self._refused:
            raise UserError(self._refused[kind])
        if (kind, device) not in self._known:
            self._known[kind, device] = self._lay_out(kind, device)
        return self._known[kind, device]

    def _answers_first(self) -> Compiled:
        try:
            return smoothed(self.ordered(lambda variable: not self.ground.is_argument(variable)))
        except UserError as error:
            self._refused["answer"] = (
                "whole answers can't be compared within the budget of seconds and nodes; answer_posterior tells about "
                "each argument, and each element of a list, by itself"
            )
            raise UserError(self._refused["answer"]) from error

    @torch.inference_mode(False)  # laid out once, for calls that differentiate, too
    def _lay_out(self, kind: str, device: torch.device) -> Circuit:
        compiled, ground, maximised = self.compiled, self.ground, 0
        if kind == "symbols":
            compiled = smoothed(self.ordered(lambda variable: ground.fact(variable) is not None))
            maximised = len(ground.variables) + len(ground.arguments)
        elif kind == "answer":
            compiled = self._answers_first()
            maximised = len(ground.arguments)
        elif kind == "posterior":
            compiled = smoothed(compiled)
        roots = [compiled.evidence if kind == "evidence" else compiled.root]
        if kind == "sum" and compiled.evidence != TRUE:
            roots.append(compiled.evidence)
        first_row = [self.first_row[variable] for variable in compiled.order]
        given = sum(argument.size for argument in ground.arguments) if kind == "sum" else 0
        return Circuit(plan_layers(compiled.nodes, roots, first_row, maximised), device, given)
