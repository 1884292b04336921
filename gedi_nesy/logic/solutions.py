"""The satisfying assignments of a rule: how many there are, uniform draws, marginals."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gedi_nesy.logic.compiled import Compiled
from gedi_nesy.logic.diagram import FALSE, TRUE

Row = tuple[int, tuple[int, ...]]  # the number of an answer, and a value at each level of the diagram


class Solutions:
    """All pairs of an answer and an assignment of the neural variables that yields it, each equally likely.

    Args:
        compiled: diagrams in which every path visits every variable.

    Attributes:
        roots: of each answer.
        order: the variable at each level.
        total: how many there are, exactly.
        ways: for each level and value, in how many it occurs.
    """

    def __init__(self, compiled: Compiled) -> None:
        self.diagram, self.order = compiled.nodes, compiled.order
        self.roots = tuple(compiled.roots.values())
        nodes = self.diagram.reachable(self.roots)  # children before parents
        self._below = {FALSE: 0, TRUE: 1}  # assignments below a node; Python's integers have no largest
        for node in nodes:
            self._below[node] = sum(self._below[child] for child in self.diagram.children[node])
        self.total = sum(self._below[root] for root in self.roots)
        above: dict[int, int] = defaultdict(int)  # ways to reach a node
        for root in self.roots:
            above[root] += 1
        self.ways = [[0] * size for size in self.diagram.sizes]
        for node in reversed(nodes):
            for value, child in enumerate(self.diagram.children[node]):
                above[child] += above[node]
                self.ways[self.diagram.level[node]][value] += above[node] * self._below[child]

    def __iter__(self) -> Iterator[Row]:
        for answer, root in enumerate(self.roots):
            for values in self._values_below(root):
                yield answer, values

    def _values_below(self, node: int) -> Iterator[tuple[int, ...]]:
        if node == TRUE:
            yield ()
        for value, child in enumerate(self.diagram.children[node]):
            if child != FALSE:
                for values in self._values_below(child):
                    yield (value, *values)

    def marginals(self) -> list[Tensor]:
        """The probability of each value of each variable, in the program's order; float64."""
        return [
            torch.tensor([ways / self.total for ways in self.ways[self.order.index(variable)]], dtype=torch.float64)
            for variable in range(len(self.order))
        ]

    def sample(self, n: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Draw n solutions uniformly.

        Returns:
            The number of the answer, [n], and the values, [variables, n], in the program's order.
        """
        answers = _draw(self._shares(self.roots).expand(n, -1), generator)
        nodes = torch.tensor(self.roots)[answers]
        values = torch.empty(len(self.order), n, dtype=torch.long)
        for variable in self.order:
            present, position = nodes.unique(return_inverse=True)
            shares = torch.stack([self._shares(self.diagram.children[node]) for node in present.tolist()])
            children = torch.tensor([self.diagram.children[node] for node in present.tolist()])
            values[variable] = _draw(shares[position], generator)
            nodes = children[position, values[variable]]
        return answers, values

    def _shares(self, nodes: Sequence[int]) -> Tensor:
        total = sum(self._below[node] for node in nodes)
        return torch.tensor([self._below[node] / total for node in nodes], dtype=torch.float64)


def _draw(shares: Tensor, generator: torch.Generator | None) -> Tensor:
    """One index for each row of shares [n, k], with these probabilities."""
    return torch.multinomial(shares, 1, generator=generator)[:, 0]
