"""The satisfying assignments of a rule: how many there are, uniform draws, marginals."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gedi_nesy.logic.compiled import Projected
from gedi_nesy.logic.diagram import FALSE, TRUE

Row = tuple[tuple[int, ...], tuple[int, ...]]  # of each argument a value; of each neural level a value


class Solutions:
    """All assignments of the neural variables and the arguments that satisfy a rule, equally likely.

    Args:
        projected: diagrams over these variables.
        root: of the rule.
        neural: how many variables are neural: those with the lowest numbers.

    Attributes:
        neural_levels: the levels of the neural variables.
        order: the neural variable at each of them.
        total: how many solutions there are, exactly.
        ways: for each neural level and value, in how many solutions it occurs.
    """

    def __init__(self, projected: Projected, root: int, neural: int) -> None:
        self.diagram, self.variables, self.root = projected.nodes, projected.order, root
        self.neural_levels = [level for level, variable in enumerate(self.variables) if variable < neural]
        self.order = tuple(self.variables[level] for level in self.neural_levels)
        by_number = sorted((v, level) for level, v in enumerate(self.variables) if v >= neural)
        self._argument_levels = [level for _, level in by_number]
        nodes = self.diagram.reachable([root])  # children before parents
        self._below = {FALSE: 0, TRUE: 1}  # assignments below a node; Python's integers have no largest
        for node in nodes:
            self._below[node] = sum(self._below[child] for child in self.diagram.children[node])
        self.total = self._below[root]
        above: dict[int, int] = defaultdict(int, {root: 1})  # ways to reach a node
        ways = [[0] * size for size in self.diagram.sizes]
        for node in reversed(nodes):
            for value, child in enumerate(self.diagram.children[node]):
                above[child] += above[node]
                ways[self.diagram.level[node]][value] += above[node] * self._below[child]
        self._ways = ways
        self.ways = [ways[level] for level in self.neural_levels]

    def __iter__(self) -> Iterator[Row]:
        yield from map(self.row, self._paths_below(self.root))

    def present(self) -> list[list[int]]:
        """The values at each level, the arguments' too, that occur in some solution."""
        return [[value for value, n in enumerate(ways) if n] for ways in self._ways]

    def row(self, path: Sequence[int]) -> Row:
        """The values of the arguments and of the neural variables, from those at all levels."""
        return tuple(path[level] for level in self._argument_levels), tuple(path[level] for level in self.neural_levels)

    def path(self, row: Row) -> list[int]:
        """The inverse of `row`."""
        path = [0] * len(self.variables)
        for levels, values in zip((self._argument_levels, self.neural_levels), row, strict=True):
            for level, value in zip(levels, values, strict=True):
                path[level] = value
        return path

    def _paths_below(self, node: int) -> Iterator[tuple[int, ...]]:
        if node == TRUE:
            yield ()
        for value, child in enumerate(self.diagram.children[node]):
            if child != FALSE:
                for values in self._paths_below(child):
                    yield (value, *values)

    def marginals(self) -> list[Tensor]:
        """The probability of each value of each neural variable, in the program's order; float64."""
        return [
            torch.tensor([ways / self.total for ways in self.ways[self.order.index(variable)]], dtype=torch.float64)
            for variable in range(len(self.order))
        ]

    def sample(self, n: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Draw n solutions uniformly.

        Returns:
            The values of the arguments, [arguments, n], and of the neural variables, [variables, n], both in the
            program's order.
        """
        one = torch.ones(n, 1, dtype=torch.float64)
        torch.multinomial(one, 1, generator=generator)  # a seed draws what it drew when there was a root to choose
        nodes = torch.full((n,), self.root)
        path = torch.empty(len(self.variables), n, dtype=torch.long)
        for level in range(len(self.variables)):
            present, position = nodes.unique(return_inverse=True)
            shares = torch.stack([self._shares(self.diagram.children[node]) for node in present.tolist()])
            children = torch.tensor([self.diagram.children[node] for node in present.tolist()])
            path[level] = torch.multinomial(shares[position], 1, generator=generator)[:, 0]
            nodes = children[position, path[level]]
        by_variable = [self.neural_levels[self.order.index(variable)] for variable in range(len(self.order))]
        return path[self._argument_levels], path[by_variable]

    def _shares(self, nodes: Sequence[int]) -> Tensor:
        total = sum(self._below[node] for node in nodes)
        return torch.tensor([self._below[node] / total for node in nodes], dtype=torch.float64)
