"""Batched evaluation of a laid-out diagram in log space, with gradients that stay finite where a value is log 0.

log 0 is a large negative number inside, so that no difference of two of them is nan, and -inf outside.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gedi_nesy.nesy.layers import FIRST, ONE, ZERO, Layout

FLOOR = -1e30  # stands for log 0; sums of it stay finite in single precision


class _Block(NamedTuple):
    """A block's nodes as index tensors; `terms` are its paths, all blocks' paths numbered through from 1."""

    rows: Tensor  # [nodes * paths * length] of the value table
    shape: tuple[int, ...]
    first_row: int
    first_term: int
    parents: Tensor  # [nodes * parents], the terms that end in the node; 0 where there are fewer
    maximise: bool


class Circuit:
    """The sums of products of a layout, for a batch of log-probabilities, on one device.

    Upwards, a node's value is the logsumexp (or the maximum) over its paths of the sum of each path's rows. Downwards,
    a path's flow is its share of its node's flow, and a row's flow is the sum over the paths it is on. Flows that start
    as the roots' gradients end as the literals'.

    Args:
        layout: what to compute.
        device: where.
    """

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self.literals = layout.literals
        parents: dict[int, list[int]] = defaultdict(list)  # of each row: the terms it is in
        row, term = FIRST + layout.literals, 1
        starts = []
        for block in layout.blocks:
            starts.append((row, term))
            for node in block.paths:
                for path in node:
                    for member in path:
                        parents[member].append(term)
                    term += 1
            row += len(block.paths)
        for root in layout.roots:
            parents[root].append(term)
            term += 1
        self.rows, self.terms = row, term
        self.roots = torch.tensor(layout.roots, dtype=torch.long, device=device)
        self.literal_parents = _padded([parents[FIRST + i] for i in range(layout.literals)], device)
        self.blocks = []
        for block, (row, term) in zip(layout.blocks, starts, strict=True):
            rows = torch.tensor(block.paths, dtype=torch.long, device=device)  # [nodes, paths, length]
            above = _padded([parents[row + i] for i in range(len(block.paths))], device)
            self.blocks.append(_Block(rows.flatten(), tuple(rows.shape), row, term, above, block.maximise))

    def log_prob(self, columns: Sequence[Tensor], answer: Tensor | None, conditional: bool) -> Tensor:
        """One root's value for each example, [batch], differentiable once; -inf, without a gradient, where it is log 0.

        Args:
            columns: log-probabilities of the literals, split into tensors [batch, values].
            answer: number of each example's root, [batch]; by default the first.
            conditional: subtract the last root's value, that of the evidence.
        """
        return _LogProb.apply(self, answer, conditional, *columns)

    def log_flow(self, columns: Sequence[Tensor], root_flow: Tensor) -> Tensor:
        """log of what flows through each literal, [literals, batch].

        Args:
            columns: log-probabilities of the literals, split into tensors [batch, values].
            root_flow: log of what enters at each root, as a share of its value, [roots, batch].
        """
        values, terms = self.upward(columns)
        possible = values.index_select(0, self.roots) > FLOOR / 2
        shares = [paths.log_softmax(1) for paths in terms]
        return _from_floor(self._downward(shares, root_flow.clamp(min=FLOOR).where(possible, FLOOR), log=True))

    def choices(self, columns: Sequence[Tensor], root_flow: Tensor) -> tuple[Tensor, Tensor]:
        """The roots' values, [roots, batch], and how often each literal is on their largest paths, [literals, batch].

        Args:
            columns: log-probabilities of the literals, split into tensors [batch, values].
            root_flow: how often to count each root, [roots, batch].
        """
        values, terms = self.upward(columns)
        shares = [torch.zeros_like(paths).scatter_(1, paths.argmax(1, keepdim=True), 1.0) for paths in terms]
        return _from_floor(values.index_select(0, self.roots)), self._downward(shares, root_flow)

    def upward(self, columns: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The value table [rows, batch], and for each block the values of its paths, [nodes, paths, batch]."""
        batch = len(columns[0])
        values = columns[0].new_empty(self.rows, batch)
        values[ONE], values[ZERO] = 0.0, FLOOR
        literals = values[FIRST : FIRST + self.literals].split([column.shape[1] for column in columns])
        for rows, column in zip(literals, columns, strict=True):
            torch.clamp(column.t(), min=FLOOR, out=rows)
        terms = []
        for block in self.blocks:
            paths = values.index_select(0, block.rows).view(*block.shape, batch).sum(2)
            nodes = values[block.first_row : block.first_row + block.shape[0]]
            if block.maximise:
                torch.amax(paths, 1, out=nodes)
            else:
                torch.logsumexp(paths, 1, out=nodes)
            terms.append(paths)
        return values, terms

    def downward(self, terms: Sequence[Tensor], root_flow: Tensor) -> Tensor:
        """The derivative of the roots, weighted by `root_flow` [roots, batch], by each literal, [literals, batch]."""
        return self._downward([paths.softmax(1) for paths in terms], root_flow)

    def _downward(self, shares: Sequence[Tensor], root_flow: Tensor, log: bool = False) -> Tensor:
        """The flow through each literal, or its log, from each path's share of its node's value, or its log."""
        batch = root_flow.shape[1]
        flows = root_flow.new_empty(self.terms, batch)
        flows[0] = FLOOR if log else 0.0
        flows[self.terms - len(root_flow) :] = root_flow
        for block, share in zip(reversed(self.blocks), reversed(shares), strict=True):
            nodes, paths, _ = block.shape
            flow = _total(flows, block.parents, log).unsqueeze(1)  # [nodes, 1, batch]
            below = flows[block.first_term : block.first_term + nodes * paths].view(nodes, paths, batch)
            if log:
                torch.add(share, flow, out=below)
            else:
                torch.mul(share, flow, out=below)
        return _total(flows, self.literal_parents, log)


def _from_floor(values: Tensor) -> Tensor:
    return values.masked_fill(values < FLOOR / 2, -torch.inf)


def _total(flows: Tensor, parents: Tensor, log: bool) -> Tensor:
    """For each row of [rows, parents], the sum of its parents' flows."""
    gathered = flows.index_select(0, parents.flatten()).view(*parents.shape, -1)
    return gathered.logsumexp(1) if log else gathered.sum(1)


def _padded(lists: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    width = max((len(members) for members in lists), default=0)
    return torch.tensor(
        [[*members, *[0] * (width - len(members))] for members in lists], dtype=torch.long, device=device
    )


class _LogProb(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, circuit: Circuit, answer: Tensor | None, conditional: bool, *columns: Tensor) -> Tensor:
        values, terms = circuit.upward(columns)
        roots = values.index_select(0, circuit.roots)
        result = roots[0] if answer is None else roots.gather(0, answer.unsqueeze(0))[0]
        ctx.possible = None
        if float(result.min() if len(result) else 0.0) < FLOOR / 2:
            ctx.possible = result > FLOOR / 2
        if conditional:
            result = result - roots[-1]
        ctx.circuit, ctx.answer, ctx.conditional = circuit, answer, conditional
        ctx.sizes = [column.shape[1] for column in columns]
        ctx.save_for_backward(*terms)
        return result if ctx.possible is None else result.masked_fill(~ctx.possible, -torch.inf)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        if ctx.possible is not None:
            grad = grad.where(ctx.possible, 0.0)
        if len(ctx.circuit.roots) == 1:
            root_flow = grad.unsqueeze(0)
        else:
            answer = torch.zeros_like(grad, dtype=torch.long) if ctx.answer is None else ctx.answer
            root_flow = grad.new_zeros(len(ctx.circuit.roots), len(grad)).scatter_(
                0, answer.unsqueeze(0), grad.unsqueeze(0)
            )
            if ctx.conditional:
                root_flow[-1] -= grad
        flow = ctx.circuit.downward(ctx.saved_tensors, root_flow)
        return None, None, None, *(part.t() for part in flow.split(ctx.sizes))
