"""Multi-valued decision diagrams over categorical variables."""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from gedi_nesy.errors import UserError

FALSE, TRUE = 0, 1  # the two terminal nodes


class TooLarge(UserError):
    """A diagram outgrew its budget of nodes."""


class Diagram:
    """Reduced, ordered decision diagrams that share what they have in common.

    A node is a number. Node n > 1 asks for the variable at its level and has one child for each value. Levels ascend
    on every path, no node has all children equal, no two nodes are the same: equal functions are equal numbers.

    Args:
        sizes: the number of values of the variable at each level.
        max_nodes: the budget.
        reduced: leave out nodes with all children equal.
    """

    def __init__(self, sizes: Sequence[int], max_nodes: int, reduced: bool = True) -> None:
        self.sizes = tuple(sizes)
        self.max_nodes = max_nodes
        self.reduced = reduced
        self.level = [len(self.sizes)] * 2  # of each node; the terminals lie below all variables
        self.children: list[tuple[int, ...]] = [(), ()]
        self._unique: dict[tuple[int, tuple[int, ...]], int] = {}
        self._not: dict[int, int] = {FALSE: TRUE, TRUE: FALSE}
        self._and: dict[tuple[int, int], int] = {}
        self._or: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.children)

    def node(self, level: int, children: tuple[int, ...]) -> int:
        """The node with one child for each value of the variable at this level."""
        if children.count(children[0]) == len(children) and (self.reduced or children[0] == FALSE):
            return children[0]
        found = self._unique.get((level, children))
        if found is None:
            if len(self.children) >= self.max_nodes:
                raise TooLarge(f"the decision diagram outgrew its budget of {self.max_nodes:,} nodes: raise max_nodes")
            found = self._unique[level, children] = len(self.children)
            self.level.append(level)
            self.children.append(children)
        return found

    def literal(self, level: int, value: int) -> int:
        """The variable at this level has this value."""
        return self.node(level, tuple(TRUE if i == value else FALSE for i in range(self.sizes[level])))

    def leaf(self) -> int:
        """A further terminal node, which stands for what its maker says."""
        self.level.append(len(self.sizes))
        self.children.append(())
        return len(self.children) - 1

    def follow(self, node: int, level: int, value: int) -> int:
        """Where a node, at this level or below it, leads when the variable at this level has this value."""
        return self.children[node][value] if self.level[node] == level else node

    def negate(self, a: int) -> int:
        """not a."""
        found = self._not.get(a)
        if found is None:
            found = self._not[a] = self.node(self.level[a], tuple(map(self.negate, self.children[a])))
            self._not[found] = a
        return found

    def conjoin(self, a: int, b: int) -> int:
        """a and b."""
        if a > b:
            a, b = b, a
        if a <= TRUE or a == b:
            return FALSE if a == FALSE else b
        found = self._and.get((a, b))
        if found is None:
            found = self._and[a, b] = self._apply(self.conjoin, a, b)
        return found

    def disjoin(self, a: int, b: int) -> int:
        """a or b."""
        if a > b:
            a, b = b, a
        if a <= TRUE or a == b:
            return TRUE if a == TRUE else b
        found = self._or.get((a, b))
        if found is None:
            found = self._or[a, b] = self._apply(self.disjoin, a, b)
        return found

    def _apply(self, operation: Callable[[int, int], int], a: int, b: int) -> int:
        level_a, level_b = self.level[a], self.level[b]
        if level_a == level_b:
            return self.node(level_a, tuple(map(operation, self.children[a], self.children[b])))
        if level_a > level_b:
            a, b, level_a = b, a, level_b
        return self.node(level_a, tuple(operation(child, b) for child in self.children[a]))

    def is_literal(self, node: int) -> bool:
        """Whether a node says of one variable which value it has, or which it has not, or is a constant."""
        return all(child <= TRUE for child in self.children[node])

    def supported(self, root: int) -> list[frozenset[int]]:
        """For each level the values on some path from the root to TRUE."""
        values: list[set[int]] = [set() for _ in self.sizes]
        free = [0] * (len(self.sizes) + 1)  # edges that begin to pass over a level, less those that end to

        def follow(edge_from: int, node: int) -> None:
            free[edge_from + 1] += 1
            free[self.level[node]] -= 1

        if root != FALSE:
            follow(-1, root)
        for node in self.reachable([root]):
            for value, child in enumerate(self.children[node]):
                if child != FALSE:
                    values[self.level[node]].add(value)
                    follow(self.level[node], child)
        passed = accumulate(free)
        return [frozenset(range(n) if over else own) for own, n, over in zip(values, self.sizes, passed, strict=False)]

    def reachable(self, roots: Iterable[int]) -> list[int]:
        """The nodes below these roots, terminals left out, children before parents."""
        seen, stack = set(), [root for root in roots if root > TRUE]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(child for child in self.children[node] if child > TRUE)
        return sorted(seen, key=lambda node: -self.level[node])
