"""P(rule | symbols), as diagrams whose leaves are probabilities: the rule's own random variables are summed out.

Bahar et al., Algebraic decision diagrams and their applications (1993).
"""

from collections.abc import Sequence

from gedi_nesy.logic.compiled import Compiled
from gedi_nesy.logic.diagram import FALSE, TRUE, Diagram
from gedi_nesy.logic.ground import GroundProgram

DIGITS = 12  # probabilities that agree in so many are one leaf: sums in another order round otherwise


class Likelihood:
    """The probability of a rule as a function of the neural variables and the arguments, given its evidence.

    Args:
        ground: the ground program.
        compiled: its diagrams.
        weights: the probability of each value of each fact.

    Attributes:
        diagram: the nodes; a leaf is one without children.
        root: of the rule.
        value: the probability that each leaf stands for.

    Raises:
        TooLarge: the probabilities are so many that the diagrams outgrow their budget.
    """

    def __init__(self, ground: GroundProgram, compiled: Compiled, weights: Sequence[Sequence[float]]) -> None:
        kept = [variable for variable in compiled.order if ground.fact(variable) is None]
        self.diagram = Diagram([ground.sizes[variable] for variable in kept], compiled.nodes.max_nodes)
        self.value = {FALSE: 0.0, TRUE: 1.0}
        self._leaves = {0.0: FALSE, 1.0: TRUE}
        self._added: dict[tuple[int, int, float], int] = {}
        self._divided: dict[tuple[int, int], int] = {}
        level_of = {variable: level for level, variable in enumerate(kept)}
        image = {FALSE: FALSE, TRUE: TRUE}
        for node in compiled.nodes.reachable([compiled.root, compiled.evidence]):
            variable = compiled.order[compiled.nodes.level[node]]
            children = [image[child] for child in compiled.nodes.children[node]]
            if variable in level_of:
                image[node] = self.diagram.node(level_of[variable], tuple(children))
            else:
                image[node] = self._mean(children, weights[variable - len(ground.variables)])
        self.root = self._divide(image[compiled.root], image[compiled.evidence])

    def _mean(self, nodes: Sequence[int], weights: Sequence[float]) -> int:
        total = FALSE
        for node, weight in zip(nodes, weights, strict=True):
            total = self._add(total, node, weight)
        return total

    def _add(self, a: int, b: int, weight: float) -> int:
        """a + weight * b."""
        if b == FALSE or not weight:
            return a
        if a in self.value and b in self.value:
            return self._leaf(self.value[a] + weight * self.value[b])
        key = (a, b, weight)
        if key not in self._added:
            level = min(self.diagram.level[a], self.diagram.level[b])
            pairs = zip(self._below(a, level), self._below(b, level), strict=True)
            self._added[key] = self.diagram.node(level, tuple(self._add(*pair, weight) for pair in pairs))
        return self._added[key]

    def _divide(self, a: int, b: int) -> int:
        """a / b, where a is 0 wherever b is."""
        if a == FALSE or b == TRUE:
            return a
        if a in self.value and b in self.value:
            return self._leaf(self.value[a] / self.value[b])
        if (a, b) not in self._divided:
            level = min(self.diagram.level[a], self.diagram.level[b])
            pairs = zip(self._below(a, level), self._below(b, level), strict=True)
            self._divided[a, b] = self.diagram.node(level, tuple(self._divide(*pair) for pair in pairs))
        return self._divided[a, b]

    def _below(self, node: int, level: int) -> list[int]:
        return [self.diagram.follow(node, level, value) for value in range(self.diagram.sizes[level])]

    def _leaf(self, probability: float) -> int:
        rounded = float(f"{probability:.{DIGITS}g}")
        if rounded not in self._leaves:
            self._leaves[rounded] = self.diagram.leaf()
            self.value[self._leaves[rounded]] = rounded
        return self._leaves[rounded]
