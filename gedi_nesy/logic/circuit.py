"""Evaluates a laid-out diagram for batches in log space; gradients stay finite where a value is log 0.

log 0 is a large negative number inside, so that no difference of two of them is nan, and -inf outside.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from gedi_nesy.logic.layout import FIRST, ONE, ZERO, Layout, Product
from gedi_nesy.logic.segment_sum import SegmentSum

FLOOR = -1e30  # stands for log 0; sums of it stay finite in single precision


class _Block(NamedTuple):
    """A block's nodes; `terms` are its paths, all blocks' paths numbered through from 1."""

    paths: SegmentSum  # of the value table: a path's value is the sum of its rows
    shape: tuple[int, int]  # nodes, paths
    first_row: int
    first_term: int
    parents: SegmentSum  # of the terms: those that end in the node
    maximise: bool


class Circuit:
    """The sums of products of a layout, for a batch of log-probabilities, on one device.

    Upwards, a node's value is the logsumexp (or the maximum) over its paths of the sum of each path's rows. Downwards,
    a path's flow is its share of its node's flow, and a row's flow is the sum over the paths it is on. Flows that start
    as the roots' gradients end as the literals'.

    Args:
        layout: what to compute.
        device: where.
        given: how many literals, the last ones, have weights of 0 and 1, by which nobody differentiates.
    """

    def __init__(self, layout: Layout, device: torch.device, given: int = 0) -> None:
        self.literals = layout.literals
        free = layout.literals - given
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
        self.literal_parents = SegmentSum([parents[FIRST + i] for i in range(free)], device)
        self.products = None  # where the whole layout is one sum
        if len(layout.roots) == len(layout.blocks) == len(layout.blocks[0].paths) == 1:
            self.products = _Products(layout.blocks[0].paths[0], free, device)
        self.blocks = []
        for block, (row, term) in zip(layout.blocks, starts, strict=True):
            paths = SegmentSum([path for node in block.paths for path in node], device)
            above = SegmentSum([parents[row + i] for i in range(len(block.paths))], device)
            shape = (len(block.paths), len(block.paths[0]))
            self.blocks.append(_Block(paths, shape, row, term, above, block.maximise))

    def log_prob(self, columns: Sequence[Tensor]) -> Tensor:
        """The first root's value less that of a second, if there is one: of the rule, given the evidence.

        Args:
            columns: log-probabilities of the literals, split into tensors [batch, values].

        Returns:
            [batch], differentiable; -inf, without a gradient, where the rule's is log 0.
        """
        if _are_transformed(columns):
            return self.plain_log_prob(columns)
        return _LogProb.apply(self, *columns)

    def plain_log_prob(self, columns: Sequence[Tensor]) -> Tensor:
        """As `log_prob`, in operations that torch can differentiate twice and more: slower, and takes more memory."""
        literals = torch.cat([*columns], 1).t().clamp(min=FLOOR)
        constants = [
            literals.new_full((1, literals.shape[1]), value) for value in (0.0, FLOOR)
        ]  # the rows ONE and ZERO
        values = torch.cat([*constants, literals])
        for block in self.blocks:
            paths = values[block.paths.rows.view(*block.shape, -1)].sum(2)
            values = torch.cat([values, paths.amax(1) if block.maximise else paths.logsumexp(1)])
        value, *evidence = values[self.roots]
        return (value - evidence[0] if evidence else value).where(value > FLOOR / 2, -torch.inf)

    def evaluate(self, columns: Sequence[Tensor], differentiate: bool) -> tuple[Tensor, Tensor | None]:
        """What `log_prob` returns, [batch], and, if asked for, its derivative by each literal, those given left out,
        [literals, batch]."""
        values, terms = self.upward(columns)
        value, *evidence = roots = values.index_select(0, self.roots)
        possible = value > FLOOR / 2
        derivative = None
        if differentiate:
            one = possible.to(roots.dtype)
            flow = torch.stack([one, -one]) if evidence else one.unsqueeze(0)
            derivative = self.downward([paths.softmax(1) for paths in terms], flow)
        return (value - evidence[0] if evidence else value).where(possible, -torch.inf), derivative

    def log_flow(self, columns: Sequence[Tensor]) -> Tensor:
        """The log of the share of the root's value that flows through each literal, [literals, batch].

        A derivative by the literals (`evaluate`) has the same values and is quicker, but those below 1e-38 are 0 in
        single precision, and their logs are lost.

        Args:
            columns: log-probabilities of the literals, split into tensors [batch, values].
        """
        values, terms = self.upward(columns)
        value = values.index_select(0, self.roots)
        shares = [paths.log_softmax(1) for paths in terms]
        return _from_floor(self.downward(shares, torch.zeros_like(value).where(value > FLOOR / 2, FLOOR), log=True))

    def choices(self, columns: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The root's value, [batch], and for each literal whether it is on its largest path, 0 or 1, [literals, batch].

        Args:
            columns: log-probabilities of the literals, split into tensors [batch, values].
        """
        values, terms = self.upward(columns)
        value = values.index_select(0, self.roots)
        return _from_floor(value[0]), self.downward(_largest(terms), torch.ones_like(value))

    def sample(self, columns: Sequence[Tensor], generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """The root's value, [batch], and the literals on a path of it, 0 or 1, [literals, batch].

        Paths are drawn by their share of the value, exactly: from the root down, at each node one of its paths.

        Args:
            columns: log-probabilities of the literals, split into tensors [batch, values].
            generator: on the columns' device.
        """
        values, terms = self.upward(columns)
        at = self.roots[0].repeat(values.shape[1])  # where each example is
        value = values.gather(0, at.unsqueeze(0))[0]
        rows = values.new_zeros(values.shape)  # 1 where an example's path goes
        for block, paths in zip(reversed(self.blocks), reversed(terms), strict=True):
            node = at - block.first_row
            here = ((node >= 0) & (node < block.shape[0])).nonzero().squeeze(1)
            node = node[here]
            chances = paths[node, :, here].t().softmax(0)  # [paths, examples here]
            chosen = chances.div_(torch.empty_like(chances).exponential_(generator=generator)).argmax(0)
            path = block.paths.rows.view(*block.shape, -1)[node, chosen]  # [examples here, length]
            rows[path, here.unsqueeze(1)] = 1.0
            at[here] = path.amax(1)  # nodes come after all literals
        return _from_floor(value), rows[FIRST : FIRST + self.literals]

    def upward(self, columns: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The value table [rows, batch], and for each block the values of its paths, [nodes, paths, batch]."""
        literals = torch.cat([*columns], 1)
        values = literals.new_empty(self.rows, len(literals))
        values[ONE], values[ZERO] = 0.0, FLOOR
        torch.clamp(literals.t(), min=FLOOR, out=values[FIRST : FIRST + self.literals])
        terms = []
        for block in self.blocks:
            paths = block.paths.sum(values).view(*block.shape, -1)
            nodes = values[block.first_row : block.first_row + block.shape[0]]
            if block.maximise:
                torch.amax(paths, 1, out=nodes)
            else:
                torch.logsumexp(paths, 1, out=nodes)
            terms.append(paths)
        return values, terms

    def downward(self, shares: Sequence[Tensor], root_flow: Tensor, log: bool = False) -> Tensor:
        """What flows through each literal, [literals, batch]; with flows that start as 1, the roots' derivative by it.

        Args:
            shares: for each block each path's share of its node's value, [nodes, paths, batch].
            root_flow: what enters at each root, [roots, batch].
            log: shares and flows are given, and flows returned, by their logs.
        """
        flows = root_flow.new_empty(self.terms, root_flow.shape[1])
        flows[0] = FLOOR  # log 0, which pads lists of terms where flows are logs
        flows[self.terms - len(root_flow) :] = root_flow
        for block, share in zip(reversed(self.blocks), reversed(shares), strict=True):
            below = flows[block.first_term : block.first_term + share.shape[0] * share.shape[1]].view_as(share)
            if log:
                torch.add(share, block.parents.logsumexp(flows).unsqueeze(1), out=below)
            else:
                torch.mul(share, block.parents.sum(flows).unsqueeze(1), out=below)
        return self.literal_parents.logsumexp(flows) if log else self.literal_parents.sum(flows)


def _largest(terms: Sequence[Tensor]) -> list[Tensor]:
    """1 for the largest path of each node and 0 for the others, [nodes, paths, batch] in each block."""
    return [torch.zeros_like(paths).scatter_(1, paths.argmax(1, keepdim=True), 1.0) for paths in terms]


def _from_floor(values: Tensor) -> Tensor:
    return values.masked_fill(values < FLOOR / 2, -torch.inf)


class _Products:
    """One sum of products of literals: for a rule with few solutions their table is quicker than layers."""

    def __init__(self, products: Sequence[Product], literals: int, device: torch.device) -> None:
        factors = [[row - FIRST for row in product if row >= FIRST] for product in products]
        parents: dict[int, list[int]] = defaultdict(list)
        for number, members in enumerate(factors):
            for literal in members:
                parents[literal].append(number)
        self.products = SegmentSum(factors, device)
        self.parents = SegmentSum([parents[literal] for literal in range(literals)], device)

    def evaluate(self, columns: Sequence[Tensor], differentiate: bool) -> tuple[Tensor, Tensor | None]:
        """As `Circuit.evaluate`; the derivative is nan where the value is -inf."""
        terms = self.products.sum(torch.cat([column.t() for column in columns]))  # [products, batch]
        return terms.logsumexp(0), self.parents.sum(terms.softmax(0)) if differentiate else None


def _are_transformed(columns: Sequence[Tensor]) -> bool:
    """Whether torch.func, or forward-mode differentiation, looks into what is computed."""
    functorch = torch._C._are_functorch_transforms_active()
    return functorch or any(forward_ad.unpack_dual(column).tangent is not None for column in columns)


class _LogProb(torch.autograd.Function):
    """Computes the derivative with the value, which is quicker than a backward pass by torch.

    Where that derivative is itself to be differentiated, the backward pass computes it anew.
    """

    @staticmethod
    def forward(ctx: Any, circuit: Circuit, *columns: Tensor) -> Tensor:
        differentiate = any(ctx.needs_input_grad)
        value, derivative = (circuit.products or circuit).evaluate(columns, differentiate)
        if differentiate:
            ctx.save_for_backward(derivative, value, *columns)
            ctx.circuit = circuit
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        derivative, value, *columns = ctx.saved_tensors
        if torch.is_grad_enabled():
            return None, *_differentiable_gradient(ctx.circuit, grad, columns)
        by_literal = (derivative * grad).where(value > -torch.inf, 0.0)
        ends = accumulate(column.shape[1] for column in columns)
        free = [column.shape[1] for column, end in zip(columns, ends, strict=True) if end <= len(by_literal)]
        return None, *by_literal.t().split(free, 1), *[None] * (len(columns) - len(free))


def _differentiable_gradient(circuit: Circuit, grad: Tensor, columns: list[Tensor]) -> list[Tensor | None]:
    """The gradient by each column that needs one, as a function of the columns and of the incoming gradient."""
    needed = [column for column in columns if column.requires_grad]
    value = circuit.plain_log_prob(columns)
    found = iter(torch.autograd.grad(value, needed, grad, create_graph=True))
    return [next(found) if column.requires_grad else None for column in columns]
