"""Lays out a decision diagram for batched evaluation, in few wide layers of sums over paths.

Evaluating a diagram level by level takes one round of tensor operations for each variable, most of it overhead. So a
layer here spans several levels: each of its nodes is a sum over its paths down to the next cut, and a path is the
product of its values' probabilities and of the node it ends in. Where to cut is a shortest path over the levels.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gedi_nesy.logic.diagram import FALSE, TRUE, Diagram

ONE, ZERO, FIRST = 0, 1, 2  # rows of the value table: log 1, log 0, the first literal
LAYER_COST = 500  # a layer's overhead, in terms gathered: measured on a CPU at batch 60
WINDOW = 8  # levels that a layer may span

Product = tuple[int, ...]  # rows of the value table whose product it is


@dataclass(frozen=True)
class Block:
    """Nodes of one layer that have about as many paths each.

    Attributes:
        paths: for each node its paths, for each path its rows; padded to one shape with ONE in a path, ZERO for a path.
        maximise: take the largest path instead of the sum.
    """

    paths: tuple[tuple[Product, ...], ...]
    maximise: bool = False


@dataclass(frozen=True)
class Layout:
    """The value table: ONE, ZERO, the literals, then the nodes of each block, bottom block first.

    Attributes:
        literals: number of literal rows.
        blocks: in the order of evaluation.
        roots: row of each root.
    """

    literals: int
    blocks: tuple[Block, ...]
    roots: tuple[int, ...]


def plan_layers(diagram: Diagram, roots: Sequence[int], first_row: Sequence[int], maximise_above: int = 0) -> Layout:
    """Lay out the nodes below some roots.

    Args:
        diagram: the nodes.
        roots: those whose value is asked for.
        first_row: for each level, where the literals of its variable start.
        maximise_above: nodes above this level take the maximum over their values, those below it the sum.
    """
    plan = _Plan(diagram, roots, first_row, maximise_above)
    return plan.layout()


class _Plan:
    def __init__(self, diagram: Diagram, roots: Sequence[int], first_row: Sequence[int], maximise_above: int) -> None:
        self.diagram, self.roots, self.first_row, self.maximise_above = diagram, roots, first_row, maximise_above
        self.nodes = diagram.reachable(roots)
        self.top = dict.fromkeys(roots, -1)  # the highest level from which an edge, or a root, leads to the node
        for node in reversed(self.nodes):
            for child in diagram.children[node]:
                self.top[child] = min(self.top.get(child, diagram.level[node]), diagram.level[node])
        self.at_level: dict[int, list[int]] = defaultdict(list)
        for node in self.nodes:
            self.at_level[diagram.level[node]].append(node)

    def heads(self, start: int, stop: int) -> list[int]:
        """The nodes of the layer [start, stop): those that a root, or a node above it, leads to."""
        return [n for level in range(start, stop) for n in self.at_level[level] if self.top[n] < start]

    def cost(self, start: int, stop: int) -> int:
        """Terms gathered in the layer, and its overhead."""
        count: dict[int, int] = {}  # paths from each node down to the cut

        def paths(node: int) -> int:
            if node == FALSE:
                return 0
            if self.diagram.level[node] >= stop:
                return 1
            if node not in count:
                count[node] = sum(map(paths, self.diagram.children[node]))
            return count[node]

        heads = self.heads(start, stop)
        return LAYER_COST + sum(map(paths, heads)) * (stop - start + 1) if heads else 0

    def cuts(self) -> list[int]:
        """Where to cut the levels, 0 and their number included, so that the sum of the layers' costs is least."""
        levels = len(self.diagram.sizes)
        best = [(0, levels)] * (levels + 1)  # from each level down: least cost, next cut
        for start in reversed(range(levels)):
            options = []
            for stop in range(start + 1, min(start + WINDOW, levels) + 1):
                if start < self.maximise_above < stop:
                    break
                cost = self.cost(start, stop)
                options.append((cost + best[stop][0], stop))
                if cost > options[0][0] + 64 * LAYER_COST:
                    break
            best[start] = min(options)
        cuts = [0]
        while cuts[-1] < levels:
            cuts.append(best[cuts[-1]][1])
        return cuts

    def layout(self) -> Layout:
        literals = max((row + size for row, size in zip(self.first_row, self.diagram.sizes, strict=True)), default=0)
        rows = {FALSE: ZERO, TRUE: ONE}
        next_row = FIRST + literals
        blocks = []
        cuts = self.cuts()
        for start, stop in reversed(list(pairwise(cuts))):
            by_size: dict[int, list[tuple[int, list[Product]]]] = defaultdict(list)
            for node in self.heads(start, stop):
                paths = self.paths(node, stop, rows)
                by_size[max(len(paths) - 1, 7).bit_length()].append((node, paths))
            for members in by_size.values():
                rows.update((node, next_row + i) for i, (node, _) in enumerate(members))
                next_row += len(members)
                blocks.append(padded_block([paths for _, paths in members], start < self.maximise_above))
        return Layout(literals, tuple(blocks), tuple(rows[root] for root in self.roots))

    def paths(self, node: int, stop: int, rows: dict[int, int]) -> list[Product]:
        """All paths of a node down to the cut; the literals' rows first, then that of the node it ends in."""
        if node == FALSE:
            return []
        if self.diagram.level[node] >= stop:
            return [()] if node == TRUE else [(rows[node],)]
        first = FIRST + self.first_row[self.diagram.level[node]]
        return [
            (first + value, *path)
            for value, child in enumerate(self.diagram.children[node])
            for path in self.paths(child, stop, rows)
        ]


def padded_block(nodes: list[list[Product]], maximise: bool = False) -> Block:
    """Nodes with these paths, as one block."""
    width = max(len(paths) for paths in nodes)
    length = max(len(path) for paths in nodes for path in paths)
    missing = (ZERO,) + (ONE,) * (length - 1)
    padded = tuple(
        tuple(path + (ONE,) * (length - len(path)) for path in paths) + (missing,) * (width - len(paths))
        for paths in nodes
    )
    return Block(padded, maximise)
