"""What a rule says before any input: its solutions, its own distribution over them, and P(rule | symbols)."""

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property

from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.logic.compiled import Compiled, neural_solutions
from gedi_nesy.logic.diagram import TooLarge
from gedi_nesy.logic.ground import GroundProgram, Key
from gedi_nesy.logic.likelihood import Likelihood
from gedi_nesy.logic.renaming import Renamings
from gedi_nesy.logic.solutions import Row, Solutions
from gedi_nesy.logic.worlds import OwnDistribution


class Analysis:
    """The analysis of a rule; each part is computed when it is first needed.

    Args:
        goal: the query, for messages.
        ground: the ground program.
        compiled: its diagrams.
        starts: the start value of each learnable probability.
    """

    def __init__(self, goal: str, ground: GroundProgram, compiled: Compiled, starts: Sequence[float]) -> None:
        self.goal, self.ground, self.compiled = goal, ground, compiled
        self.weights = [fact.start_weights(starts) for fact in ground.facts]

    @cached_property
    def solutions(self) -> Solutions:
        """The satisfying assignments."""
        return Solutions(neural_solutions(self.ground, self.compiled))

    @cached_property
    def distribution(self) -> OwnDistribution:
        """The satisfying assignments by how often the program's own facts make them occur.

        Raises:
            UserError: there are none.
        """
        if not self.solutions.total:
            raise UserError(f"no assignment satisfies {self.goal}")
        return OwnDistribution(self.ground, self.compiled, self.weights)

    @cached_property
    def renamings(self) -> Renamings:
        """Renamings of the symbols, and what they do to the rule's probability."""
        return Renamings(self.ground.variables, self.solutions, self._likelihood(), self.distribution)

    def rows_of(self, labels: Mapping[Key, Tensor], answer: Tensor | None) -> list[Row]:
        """Assignments as the number of their answer and the value at each level of the solutions' diagram.

        Args:
            labels: for each variable's key the indices into its domain, [n].
            answer: the number of each answer, [n]; None where there is only one.
        """
        columns = [labels[self.ground.variables[variable].key].tolist() for variable in self.solutions.order]
        rows = list(zip(*columns, strict=True))
        return list(zip([0] * len(rows) if answer is None else answer.tolist(), rows, strict=True))

    def _likelihood(self) -> Likelihood:
        try:
            return Likelihood(self.ground, self.compiled, self.weights)
        except TooLarge:
            warnings.warn(
                f"P({self.goal}) takes too many values to tell symbols apart by it: they are by what is possible",
                stacklevel=5,
            )
            return Likelihood(self.ground, neural_solutions(self.ground, self.compiled), ())
