"""Log-probabilities of a program's own facts and annotated disjunctions; `t(...)` is learnable."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gedi_nesy.errors import UserError
from gedi_nesy.logic.ground import Fact
from gedi_nesy.logic.program import Program


class FactWeights(nn.Module):
    """One learnable distribution for each statement with `t(...)`; the others are constants.

    Learnable heads get a softmax over the probability that constant heads leave; if start values sum to less than 1,
    "no head" is one more outcome.

    Args:
        program: for its parameters.
        facts: the ground facts whose values' log-probabilities are asked for.
    """

    def __init__(self, program: Program, facts: Sequence[Fact]) -> None:
        super().__init__()
        self.groups = program.groups
        self.logits = nn.ParameterList()
        for group in program.groups:
            fixed = sum(weight for weight in group if isinstance(weight, float))
            starts = [program.parameters[weight].start for weight in group if isinstance(weight, int)]
            if min(starts) <= 0 or max(starts) >= 1:
                raise UserError(f"{program.source.name}: a learnable probability t(p) must start between 0 and 1")
            none = 1 - fixed - sum(starts)
            self.logits.append(
                nn.Parameter(torch.tensor([*starts, none] if none > 1e-9 else starts, dtype=torch.float64).log())
            )
        self.constants: list[float] = []
        self.sources = [self._source(fact, program) for fact in facts]
        self._constants_on: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def _source(self, fact: Fact, program: Program) -> int | slice:
        """A fact's group; or where its constants lie."""
        parameter = next((weight for weight in fact.weights if isinstance(weight, int)), None)
        if parameter is not None:
            return program.parameters[parameter].group
        start = len(self.constants)
        self.constants += [_log(weight) for weight in fact.weights]
        if not fact.exhaustive:
            self.constants.append(_log(1 - sum(fact.weights)))
        return slice(start, len(self.constants))

    def forward(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """log-probability of each value of each fact, in order, [values]."""
        constants = self._constants(dtype, device)
        groups = [
            self._group(group, logits.to(device, dtype)) for group, logits in zip(self.groups, self.logits, strict=True)
        ]
        parts = [constants[source] if isinstance(source, slice) else groups[source] for source in self.sources]
        return torch.cat(parts) if parts else constants

    @torch.inference_mode(False)
    def _constants(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Copied to the device once: a copy in each call would make a GPU wait."""
        if (dtype, device) not in self._constants_on:
            self._constants_on[dtype, device] = torch.tensor(self.constants, dtype=dtype, device=device)
        return self._constants_on[dtype, device]

    def probabilities(self) -> list[float]:
        """The present value of each learnable probability, in the order of the program's text."""
        values: list[float] = []
        for group, logits in zip(self.groups, self.logits, strict=True):
            present = self._group(group, logits.detach()).exp().tolist()
            values += [p for weight, p in zip(group, present, strict=False) if isinstance(weight, int)]
        return values

    def _group(self, group: tuple[float | int, ...], logits: Tensor) -> Tensor:
        fixed = sum(weight for weight in group if isinstance(weight, float))
        learnt = iter(logits.log_softmax(0) + math.log1p(-fixed))
        heads = [logits.new_full((), _log(weight)) if isinstance(weight, float) else next(learnt) for weight in group]
        return torch.stack([*heads, *learnt])


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
