"""A way on where a rule is too large for a diagram: bounds of its probability, or samples of its solutions.

Neither is ever taken in the place of the exact value: a caller asks for one, and what is returned says what it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gedi_nesy.errors import UserError
from gedi_nesy.logic.answers import Answers
from gedi_nesy.logic.arguments import ArgumentReader, Arguments
from gedi_nesy.logic.circuit import FLOOR, Circuit
from gedi_nesy.logic.columns import Columns
from gedi_nesy.logic.compile import Compiler
from gedi_nesy.logic.compiled import Compiled, smoothed
from gedi_nesy.logic.diagram import TRUE, Diagram
from gedi_nesy.logic.expansion import Expansion
from gedi_nesy.logic.fact_weights import FactWeights
from gedi_nesy.logic.ground import Key, Value, Variable
from gedi_nesy.logic.ground_graph import variable_orders
from gedi_nesy.logic.grounder import ground
from gedi_nesy.logic.layout import plan_layers
from gedi_nesy.logic.looks import Looks
from gedi_nesy.logic.program import Program, Source, find_program, read_file
from gedi_nesy.logic.query import Query
from gedi_nesy.logic.three_valued import Formula, from_bits

SECONDS = 30.0  # budget for grounding
NODES = 10_000  # of a partly expanded diagram
TRIAL = 128  # nodes by which variable orders are compared
ROOM = 2**26  # numbers that drawing may hold at a time


@dataclass(frozen=True)
class Bounds:
    """Between which values log P(rule) lies.

    Attributes:
        lower: [batch], differentiable; -inf where nothing is known yet.
        upper: [batch], differentiable.
        nodes: of the diagram that were expanded for this.
    """

    lower: Tensor
    upper: Tensor
    nodes: int

    def __str__(self) -> str:
        pairs = zip(self.lower.tolist(), self.upper.tolist(), strict=True)
        shown = ", ".join(f"[{low:.4g}, {high:.4g}]" for low, high in pairs)
        return f"bounds of log P by {self.nodes:,} nodes: {shown}"


@dataclass(frozen=True)
class Estimate:
    """log P(rule) and its gradient from draws of solutions.

    Attributes:
        log_prob: [batch]; its gradient is the estimated one.
        error: standard error of `log_prob`, [batch].
        posterior: for each key p(symbol | rule holds, inputs), [batch, values]: the gradient by its log-probabilities.
        posterior_error: standard errors of `posterior`, of the same shapes.
        accepted: how many draws satisfied the rule, int64 [batch].
        draws: how many there were for each example.
    """

    log_prob: Tensor
    error: Tensor
    posterior: dict[Key, Tensor]
    posterior_error: dict[Key, Tensor]
    accepted: Tensor
    draws: int

    def __str__(self) -> str:
        pairs = zip(self.log_prob.tolist(), self.error.tolist(), strict=True)
        shown = ", ".join(f"{value:.4g} ± {error:.2g}" for value, error in pairs)
        return f"log P from {self.draws:,} draws (± standard error): {shown}"


class GroundRule(nn.Module):
    """A rule that is ground and not compiled, for rules whose diagram outgrows every budget.

    Args:
        program, query, arguments, trust, folder: as for `Constraint`.
        seconds: budget of CPU time for parsing, and again for grounding.

    Attributes:
        variables: the neural calls of the rule.
        arguments: the names of the query's arguments.
        weights: the probabilities of the rule's own facts; those written `t(...)` are parameters.

    Raises:
        UserError: the program or query is wrong, or can't be ground within the budget; or which arguments the rule has
            an answer for can't be told without a diagram.
    """

    def __init__(
        self,
        program: str | Source,
        query: str | None = None,
        arguments: Sequence[str] = (),
        *,
        trust: bool = False,
        seconds: float = SECONDS,
        folder: str | Path = ".",
    ) -> None:
        super().__init__()
        if isinstance(program, str):
            program = Source(program, "the program", Path(folder), seconds)
        self.program = Program(program)
        self.query = Query(self.program, query, arguments)
        self.arguments = self.query.arguments
        limited = Compiler(self.program, self.query, seconds, 0, trust).limited
        mend = "let the rule take one step at a time"
        self._ground = limited(partial(ground, self.program, self.query, seconds, trust), "", mend)
        if self._ground.open_tests:
            raise UserError(
                f"{self.query.goal} tests its arguments by {', '.join(self._ground.open_tests)}, and only a diagram "
                "tells what that comes to: write their values into the query"
            )
        self.variables: tuple[Variable, ...] = self._ground.variables
        self.weights = FactWeights(self.program, self._ground.facts)
        self._formula = Formula(self._ground)
        anything = Compiled(Diagram(self._ground.sizes, 2), tuple(range(len(self._ground.sizes))), TRUE, TRUE)
        answers = Answers(str(self.query.goal), self._ground, anything)  # whichever there are
        looks = Looks(late=False)  # whatever is asked here waits for its answer
        self._reader = ArgumentReader(self.query, self._ground.arguments, answers, (), lambda answer: True, looks)
        self._columns = Columns(str(self.query.goal), self._ground, self._reader, self.weights, looks)
        self._first_row = [0, *accumulate(self._ground.sizes)]  # of each variable's literals

    @classmethod
    def from_file(
        cls, path: str | Path, query: str | None = None, arguments: Sequence[str] = (), **options: Any
    ) -> "GroundRule":
        """The rule in a file, or in one of our programs by its name; see the class for the options."""
        source = read_file(find_program(path), options.get("seconds", SECONDS))
        return cls(source, query, arguments, **options)

    def __repr__(self) -> str:
        return f"GroundRule({self.query.goal}; {len(self._ground.nodes):,} ground nodes)"

    def argument_values(self, name: str) -> list[tuple[Value, ...]]:
        """The values that the rule asks for of an argument: one tuple, or where it is a list one for each element."""
        return self._reader.values(name)

    def bounds(self, inputs: Mapping[Key, Tensor], arguments: Arguments | None = None, *, nodes: int = NODES) -> Bounds:
        """Between which values log P(rule | inputs) lies.

        More nodes never make a bound worse, and enough of them make both equal.

        Args:
            inputs: for each variable's key the log-probabilities of its domain, [batch, values].
            arguments: for each argument of the query its value in each example.
            nodes: the budget: how many nodes of the diagram to expand, those first that are most probable here.

        Raises:
            UserError: a key, shape or value is wrong, or the evidence is impossible.
        """
        columns, _ = self._columns.read(inputs, arguments)
        expansion = self._expanded(columns, nodes)
        below, possible, above = (self._log_prob(compiled, columns) for compiled in expansion.diagrams())
        if self._ground.evidence:
            evidence = torch.logaddexp(above, possible)
            if evidence.isneginf().any():
                raise UserError("the program's evidence is impossible")
            below, possible = below - evidence, possible - evidence
        return Bounds(below, possible.clamp(max=0.0), expansion.expanded)

    def sampled(
        self,
        inputs: Mapping[Key, Tensor],
        arguments: Arguments | None = None,
        *,
        draws: int = 1000,
        nodes: int = NODES,
        generator: torch.Generator | None = None,
    ) -> Estimate:
        """log P(rule | inputs) and its gradient, from independent draws of the symbols given the rule.

        Symbols are drawn from their posterior under the upper bound of `bounds`, and kept where they satisfy the rule:
        those kept have exactly the rule's posterior, and their share is P(rule) over the upper bound.

        Args:
            inputs: as for `bounds`.
            arguments: as for `bounds`.
            draws: for each example.
            nodes: the budget of the upper bound; the tighter it is, the more draws are kept.
            generator: on the inputs' device.

        Raises:
            UserError: as for `bounds`; or the program has evidence; or no draw of an example satisfied the rule.
        """
        if draws < 1:
            raise UserError(f"at least one draw is needed, not {draws}")
        if self._ground.evidence:
            raise UserError("samples know nothing of a program's evidence: ask for bounds")
        columns, _ = self._columns.read(inputs, arguments)
        possible = self._expanded(columns, nodes).diagrams()[1]
        upper = self._log_prob(possible, [column.detach() for column in columns])
        if upper.isneginf().any():
            raise UserError(f"{self.query.goal} is impossible for example {int(upper.isneginf().nonzero()[0])}")
        total, accepted = self._draw(possible, columns, draws, generator)
        if not accepted.all():
            example = int((accepted == 0).nonzero()[0])
            raise UserError(
                f"none of {draws:,} draws satisfied {self.query.goal} in example {example}: give more draws, or more "
                "nodes for the upper bound that they are drawn from"
            )
        return self._estimate(upper, total, accepted, columns, draws)

    def _estimate(
        self, upper: Tensor, total: Tensor, accepted: Tensor, columns: Sequence[Tensor], draws: int
    ) -> Estimate:
        """What follows from draws of which `accepted` were kept, with each literal true in `total` of them."""
        n = accepted.to(upper.dtype)
        mean = total / n.unsqueeze(1)  # [batch, literals]
        share, cautious = n / draws, (n + 1) / (draws + 2)  # so that there is no error of 0 where all are kept
        scored = (mean * torch.cat(list(columns), 1).clamp(min=FLOOR)).sum(1)  # its gradient by literals is the mean
        deviation = (mean * (1 - mean) / n.unsqueeze(1)).sqrt()
        rows = {v.key: slice(*self._first_row[k : k + 2]) for k, v in enumerate(self.variables)}
        return Estimate(
            upper + share.log() + scored - scored.detach(),
            ((1 - cautious) / (cautious * draws)).sqrt(),
            {key: mean[:, own] for key, own in rows.items()},
            {key: deviation[:, own] for key, own in rows.items()},
            accepted,
            draws,
        )

    @torch.no_grad()
    def _draw(
        self, possible: Compiled, columns: Sequence[Tensor], draws: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Of draws from p(symbols | upper bound), those that satisfy the rule: how often each literal is true in them,
        [batch, literals], and how many they are, int64 [batch]."""
        circuit, batch = self._circuit(smoothed(possible), columns[0].device), len(columns[0])
        total = columns[0].new_zeros(batch, circuit.literals)
        accepted = torch.zeros(batch, dtype=torch.long, device=total.device)
        at_once = max(1, ROOM // (batch * (circuit.rows + circuit.terms)))
        for start in range(0, draws, at_once):
            repeated = [column.repeat_interleave(min(at_once, draws - start), 0) for column in columns]
            _, literals = circuit.sample(repeated, generator)
            values = [literals[first:end].argmax(0) for first, end in pairwise(self._first_row)]
            assignments = torch.stack(values, 1).cpu().numpy().astype(np.int32)
            holds = from_bits(self._formula.evaluate(assignments).holds, len(assignments))
            kept = torch.from_numpy(holds).to(total.device)
            total += (literals * kept).t().view(batch, -1, circuit.literals).sum(1)
            accepted += kept.view(batch, -1).sum(1)
        return total, accepted

    def _expanded(self, columns: Sequence[Tensor], nodes: int) -> Expansion:
        """The diagram in the order that closes the gap best at first."""
        if nodes < 1:
            raise UserError(f"at least one node is needed, not {nodes}")
        literals = torch.cat([column.detach() for column in columns], 1).exp().double().cpu().t().numpy()
        weights = [literals[start:end] for start, end in pairwise(self._first_row)]
        orders = variable_orders(self._ground, lambda variable: 0)
        tried = [Expansion(self._formula, order, weights) for order in orders]
        for expansion in tried:
            expansion.expand(TRIAL)
        best = min(tried, key=Expansion.gap)
        if nodes < TRIAL:
            best = Expansion(self._formula, best.order, weights)
        best.expand(nodes)
        return best

    def _log_prob(self, compiled: Compiled, columns: Sequence[Tensor]) -> Tensor:
        if compiled.root <= TRUE:
            zero = columns[0].clamp(min=FLOOR).sum(1) * 0.0  # differentiable, as other bounds are
            return zero if compiled.root == TRUE else torch.full_like(zero, -torch.inf)
        return self._circuit(compiled, columns[0].device).log_prob(columns)

    def _circuit(self, compiled: Compiled, device: torch.device) -> Circuit:
        first_row = [self._first_row[variable] for variable in compiled.order]
        return Circuit(plan_layers(compiled.nodes, [compiled.root], first_row), device)
