"""Renamings of a rule's symbols, and what they do to the rule's probability."""

from collections.abc import Sequence

from gedi_nesy.logic.diagram import FALSE
from gedi_nesy.logic.ground import Variable
from gedi_nesy.logic.likelihood import Likelihood
from gedi_nesy.logic.solutions import Row, Solutions
from gedi_nesy.logic.worlds import OwnDistribution

Symbol = tuple[str, int]  # a network and an index into its domain
Map = dict[Symbol, int]  # to another index into the same domain

OPEN = -1  # stands for a value that is not decided yet
SAME = 1e-9  # probabilities that differ by less, relatively, are one


class Renamings:
    """Renamings of a rule's symbols, perhaps of some only, judged by the rule.

    Args:
        variables: the rule's neural variables.
        solutions: its satisfying assignments.
        likelihood: its probability given the symbols.
        distribution: how often they occur.
    """

    def __init__(
        self,
        variables: Sequence[Variable],
        solutions: Solutions,
        likelihood: Likelihood,
        distribution: OwnDistribution,
    ) -> None:
        self.solutions, self.distribution = solutions, distribution
        self.likelihood, self.diagram = likelihood, likelihood.diagram
        self.networks = [variables[variable].network for variable in solutions.order]  # of each neural level
        self._network_at = dict(zip(solutions.neural_levels, self.networks, strict=True))
        self._present_at = solutions.present()  # the values at each level
        self.domains = {variable.network: variable.domain for variable in variables}
        marginals = distribution.marginals()
        self.marginals = [marginals[variable].tolist() for variable in solutions.order]  # of each neural level
        self._highest: dict[Row, float] = {}

    def present(self) -> list[Symbol]:
        """The symbols that occur in some solution."""
        levels = zip(self.networks, self.solutions.ways, strict=True)
        return list(dict.fromkeys((network, value) for network, ways in levels for value, n in enumerate(ways) if n))

    def highest(self, arguments: tuple[int, ...], values: tuple[int, ...]) -> float:
        """The probability of the rule, the highest that there is where some symbols are open.

        Args:
            arguments: the number of each one's value.
            values: at each neural level.
        """
        row = (arguments, values)
        if row not in self._highest:
            nodes = {self.likelihood.root}
            for level, value in enumerate(self.solutions.path(row)):
                every = range(self.diagram.sizes[level]) if value == OPEN else (value,)
                nodes = {self.diagram.follow(node, level, v) for node in nodes for v in every}
            self._highest[row] = max(self.likelihood.value[node] for node in nodes)
        return self._highest[row]

    def still_likely(self, row: Row, renaming: Map) -> bool:
        """Whether the renaming, perhaps of some symbols only yet, can leave a row as probable as it is."""
        return self.highest(row[0], self.renamed(row, renaming)) >= self.highest(*row) * (1 - SAME)

    def symbols_of(self, row: Row) -> list[Symbol]:
        """The symbols a row speaks of, one for each level."""
        return list(zip(self.networks, row[1], strict=True))

    def renamed(self, row: Row, renaming: Map) -> tuple[int, ...]:
        """A row's values under a renaming; open where it isn't decided."""
        return tuple(renaming.get(symbol, OPEN) for symbol in self.symbols_of(row))

    def counterexample(self, renaming: Map) -> Row | None:
        """An assignment that the renaming takes to a less probable one; None where there is none."""
        root = self.likelihood.root
        path = self._escape(root, root, renaming, 0, set())
        return None if path is None else self.solutions.row(path)

    def _escape(self, node: int, image: int, renaming: Map, level: int, safe: set[tuple[int, int]]) -> list[int] | None:
        """The values of a path from the node whose renaming leads from the image to a lower probability."""
        if node == FALSE or (node, image) in safe:
            return None
        if level == len(self.diagram.sizes):
            return [] if self.likelihood.value[image] < self.likelihood.value[node] * (1 - SAME) else None
        for value in self._present_at[level]:
            child = self.diagram.follow(node, level, value)
            renamed = renaming[self._network_at[level], value] if level in self._network_at else value
            path = self._escape(child, self.diagram.follow(image, level, renamed), renaming, level + 1, safe)
            if path is not None:
                return [value, *path]
        safe.add((node, image))
        return None
