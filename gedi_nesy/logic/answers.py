"""The answers of a rule: for which values of its arguments it is possible, counted and listed."""

from collections.abc import Iterator
from functools import cached_property

from gedi_nesy.errors import UserError
from gedi_nesy.logic.compiled import Compiled, Projected, projected
from gedi_nesy.logic.diagram import FALSE, TRUE, TooLarge
from gedi_nesy.logic.ground import GroundProgram

LISTED = 100_000  # answers, at most


class Answers:
    """The numbers of the arguments' values for which a rule is possible.

    Args:
        goal: the query, for messages.
        ground: the ground program.
        compiled: its diagrams.
    """

    def __init__(self, goal: str, ground: GroundProgram, compiled: Compiled) -> None:
        self.goal, self.ground, self.compiled = goal, ground, compiled
        self._known: dict[tuple[int, ...], bool] = {}
        self._neural_and_facts = len(ground.variables) + len(ground.facts)

    def all(self) -> list[tuple[int, ...]]:
        """Every answer, in the order of the arguments' values.

        Raises:
            UserError: there are too many to list.
        """
        count = self.count
        if count is None or count > LISTED:
            many = "more" if count is None else f"{count:,}"
            raise UserError(
                f"{self.goal} has {many} answers, too many to list: pass the arguments' values, or ask "
                "answer_posterior for the distribution of each"
            )
        return sorted(self)

    @cached_property
    def count(self) -> int | None:
        """How many answers there are; None where that can't be counted within the budget."""
        try:
            projected = self._projected
        except TooLarge:
            return None
        below = {FALSE: 0, TRUE: 1}
        for node in projected.nodes.reachable(projected.roots):
            below[node] = sum(below[child] for child in projected.nodes.children[node])
        return below[projected.roots[0]]

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """One answer after the other, in some order.

        Raises:
            TooLarge: they can't be enumerated within the budget.
        """
        order = [variable - self._neural_and_facts for variable in self._projected.order]
        for path in self._paths(self._projected.roots[0]):
            by_argument = dict(zip(order, path, strict=True))
            yield tuple(by_argument[argument] for argument in range(len(order)))

    def __contains__(self, numbers: tuple[int, ...]) -> bool:
        """Whether the rule is possible for these values."""
        if numbers not in self._known:
            self._known[numbers] = self._possible(numbers)
        return self._known[numbers]

    def _possible(self, numbers: tuple[int, ...]) -> bool:
        nodes, given = self.compiled.nodes, dict(enumerate(numbers, self._neural_and_facts))
        seen, stack = set(), [self.compiled.root]
        while stack:
            node = stack.pop()
            if node == TRUE:
                return True
            if node not in seen and node != FALSE:
                seen.add(node)
                variable, children = self.compiled.order[nodes.level[node]], nodes.children[node]
                values = [given[variable]] if variable in given else range(len(children))
                stack.extend(children[value] for value in values if not self.ground.never(variable, value))
        return False

    @cached_property
    def others_possible(self) -> list[bool]:
        """For each argument whether the rule may hold for values that it does not ask for."""
        supported = self.compiled.nodes.supported(self.compiled.root)
        level_of = {variable: level for level, variable in enumerate(self.compiled.order)}
        numbers = range(self._neural_and_facts, len(level_of))
        return [self.ground.sizes[number] - 1 in supported[level_of[number]] for number in numbers]

    @cached_property
    def _projected(self) -> Projected:
        return projected(self.ground, self.compiled, [self.compiled.root], self.ground.is_argument)

    def _paths(self, node: int) -> Iterator[tuple[int, ...]]:
        if node == TRUE:
            yield ()
        for value, child in enumerate(self._projected.nodes.children[node]):
            if child != FALSE:
                for rest in self._paths(child):
                    yield (value, *rest)
