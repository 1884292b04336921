"""The satisfying assignments of a rule: how many there are, uniform draws, marginals."""

from collections import defaultdict

import torch
from torch import Tensor

from gedi_nesy.nesy.diagram import FALSE, TRUE, Compiled


class Solutions:
    """All pairs of an answer and an assignment of the neural variables that gives it, equally likely.

    Args:
        compiled: diagrams in which every path visits every variable.
    """

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.diagram = compiled.diagram
        self.answers = list(compiled.roots)
        self.nodes = self.diagram.reachable(compiled.roots.values())  # children before parents
        self.counts = {FALSE: 0, TRUE: 1}  # exact: Python's integers have no largest
        for node in self.nodes:
            self.counts[node] = sum(self.counts[child] for child in self.diagram.children[node])
        self.total = sum(self.counts[root] for root in compiled.roots.values())

    def marginals(self) -> list[Tensor]:
        """The probability of each value of each variable, in the program's order; float64."""
        above: dict[int, int] = defaultdict(int)  # ways to reach a node
        for root in self.compiled.roots.values():
            above[root] += 1
        found = [[0] * size for size in self.diagram.sizes]
        for node in reversed(self.nodes):
            for value, child in enumerate(self.diagram.children[node]):
                above[child] += above[node]
                found[self.diagram.level[node]][value] += above[node] * self.counts[child]
        by_variable = dict(zip(self.compiled.order, found, strict=True))
        return [
            torch.tensor([ways / self.total for ways in by_variable[variable]], dtype=torch.float64)
            for variable in range(len(by_variable))
        ]

    def sample(self, n: int, generator: torch.Generator | None) -> tuple[Tensor, list[Tensor]]:
        """Uniform draws.

        Returns:
            The index of the answer, [n], and of each variable's value, each [n], in the program's order.
        """
        roots = list(self.compiled.roots.values())
        answers = _draw(self._shares(roots, self.total).expand(n, -1), generator)
        nodes = torch.tensor(roots)[answers]
        drawn = {}
        for level, variable in enumerate(self.compiled.order):
            present, position = nodes.unique(return_inverse=True)
            shares = torch.stack([self._shares(self.diagram.children[m], self.counts[m]) for m in present.tolist()])
            children = torch.tensor([self.diagram.children[m] for m in present.tolist()])
            assert self.diagram.level[int(present[0])] == level
            drawn[variable] = _draw(shares[position], generator)
            nodes = children[position, drawn[variable]]
        return answers, [drawn[variable] for variable in range(len(drawn))]

    def _shares(self, nodes: list[int] | tuple[int, ...], total: int) -> Tensor:
        return torch.tensor([self.counts[node] / total for node in nodes], dtype=torch.float64)


def _draw(shares: Tensor, generator: torch.Generator | None) -> Tensor:
    """One index for each row of shares [n, k], with these probabilities."""
    return torch.multinomial(shares, 1, generator=generator)[:, 0]
