"""What a rule says before any input: its solutions, its own distribution over them, and P(rule | symbols)."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.logic.compiled import Compiled, Projected, projected
from gedi_nesy.logic.diagram import TRUE, TooLarge
from gedi_nesy.logic.ground import GroundProgram, Key
from gedi_nesy.logic.likelihood import Likelihood
from gedi_nesy.logic.renaming import Renamings
from gedi_nesy.logic.solutions import Row, Solutions
from gedi_nesy.logic.time_limit import OutOfBudget
from gedi_nesy.logic.worlds import OwnDistribution

T = TypeVar("T")
Limited = Callable[[Callable[[], Any], str, str], Any]  # work, what it is, how to mend it -> what it returns


class Analysis:
    """The analysis of a rule; each part is computed when it is first needed.

    Args:
        goal: the query, for messages.
        ground: the ground program.
        compiled: its diagrams.
        starts: the start value of each learnable probability.
        limited: runs work on diagrams within the budget of a compilation: `Compiler.limited`.
    """

    def __init__(
        self, goal: str, ground: GroundProgram, compiled: Compiled, starts: Sequence[float], limited: Limited
    ) -> None:
        self.goal, self.ground, self.compiled, self.limited = goal, ground, compiled, limited
        self.weights = [fact.start_weights(starts) for fact in ground.facts]

    @cached_property
    def solutions(self) -> Solutions:
        """The satisfying assignments."""
        return Solutions(self._possible, self._possible.roots[0], len(self.ground.variables))

    @cached_property
    def _possible(self) -> Projected:
        ground, compiled = self.ground, self.compiled
        return self._in_budget(
            lambda: projected(ground, compiled, [compiled.root], lambda variable: ground.fact(variable) is None)
        )

    @cached_property
    def distribution(self) -> OwnDistribution:
        """The satisfying assignments by how often the program's own facts make them occur.

        Raises:
            UserError: there are none.
        """
        if not self.solutions.total:
            raise UserError(f"no assignment satisfies {self.goal}")
        return self._in_budget(lambda: OwnDistribution(self.ground, self.compiled, self.weights))

    @cached_property
    def renamings(self) -> Renamings:
        """Renamings of the symbols, and what they do to the rule's probability."""
        return Renamings(self.ground.variables, self.solutions, self._likelihood(), self.distribution)

    def rows_of(self, labels: Mapping[Key, Tensor], arguments: Tensor | None) -> list[Row]:
        """Assignments as the numbers of the arguments' values and those of the neural variables by their levels.

        Args:
            labels: for each variable's key the indices into its domain, [n].
            arguments: the number of each one's value, [n, arguments]; None where the query has none.
        """
        columns = [labels[self.ground.variables[variable].key].tolist() for variable in self.solutions.order]
        rows = list(zip(*columns, strict=True))
        given = [()] * len(rows) if arguments is None else map(tuple, arguments.tolist())
        return list(zip(given, rows, strict=True))

    def _likelihood(self) -> Likelihood:
        try:
            return self._in_budget(lambda: Likelihood(self.ground, self.compiled, self.weights))
        except (TooLarge, OutOfBudget):
            warnings.warn(
                f"P({self.goal}) takes too many values to tell symbols apart by it: they are by what is possible",
                stacklevel=5,
            )
            possible = Compiled(self._possible.nodes, self._possible.order, self._possible.roots[0], TRUE)
            return self._in_budget(lambda: Likelihood(self.ground, possible, ()))

    def _in_budget(self, work: Callable[[], T]) -> T:
        """What `work` makes of the diagrams, in a child process if there are random variables of the rule's own.

        Raises:
            OutOfBudget: it takes more than the seconds, or the memory, of a compilation.
        """
        if not self.ground.facts:
            return work()
        what = f", with {len(self.ground.facts):,} random variables of its own,"
        return self.limited(work, what, "give it fewer, or raise seconds")
