"""A partly expanded decision diagram of a rule, whose open ends say how much of its probability is not decided.

A state is what a partial assignment leaves of the formula (`three_valued`). Expanding one asks for its next variable;
states that leave the same formula are one. The heaviest states are expanded first, in rounds, in an order that no
budget changes, so that a larger budget only refines what a smaller one has found.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gedi_nesy.logic.compiled import Compiled
from gedi_nesy.logic.diagram import FALSE, TRUE, Diagram
from gedi_nesy.logic.three_valued import OPEN, Formula, from_bits

HOLDS, FAILS, EXCLUDED = -1, -2, -3  # ends of paths: the rule holds, or only the evidence does, or it does not
UNDECIDED = -4  # no end
UNLIMITED = 10**9  # nodes: the budget is of states
ROUND, SHARE = 64, 8  # states that a round expands: so many, or this fraction of those expanded

Mass = NDArray[np.float64]  # of a state in each example, [batch]


@dataclass
class _State:
    """What is left of the formula under an assignment, [variables], of which `variable` is the next to be asked for."""

    assignment: NDArray[np.int32]
    variable: int
    children: list[int] = field(default_factory=list)  # states and ends; none before it is expanded


class Expansion:
    """The states of a rule in one variable order.

    Args:
        formula: the rule's.
        order: of the variables.
        weights: for each variable the probability of each value, [values, batch]: which states are heavy.

    Attributes:
        expanded: how many states are.
    """

    def __init__(self, formula: Formula, order: Sequence[int], weights: Sequence[Mass]) -> None:
        self.formula, self.order, self.weights = formula, tuple(order), weights
        self.position = {variable: place for place, variable in enumerate(self.order)}
        self.states: list[_State] = []
        self.expanded = 0
        self._known: dict[bytes, int] = {}
        start = np.full((1, len(formula.ground.sizes)), OPEN, np.int32)
        self.root = self._ends(start)[0]

    def expand(self, nodes: int) -> None:
        """Expand until so many states are, or nothing that has any probability is left to expand."""
        while self.expanded < nodes:
            heaviest = self._heaviest(max(ROUND, self.expanded // SHARE))
            if not heaviest:
                return
            chosen = heaviest[: nodes - self.expanded]
            rows, counts = [], []
            for number in chosen:
                state = self.states[number]
                size = self.formula.ground.sizes[state.variable]
                children = np.tile(state.assignment, (size, 1))
                children[:, state.variable] = np.arange(size)
                rows.append(children)
                counts.append(size)
            ends = self._ends(np.concatenate(rows))
            for number, size in zip(chosen, counts, strict=True):
                self.states[number].children, ends = ends[:size], ends[size:]
            self.expanded += len(chosen)

    def gap(self) -> float:
        """The probability of all states that are not expanded, the mean over the examples."""
        return sum(float(mass.mean()) for mass in self._open().values())

    def diagrams(self) -> tuple[Compiled, Compiled, Compiled]:
        """Where the rule surely holds, where it may hold, and where surely only the evidence does."""
        return self._diagram(HOLDS, FALSE), self._diagram(HOLDS, TRUE), self._diagram(FAILS, FALSE)

    def _diagram(self, end: int, undecided: int) -> Compiled:
        """The diagram in which this end counts as true, and each state that is not expanded as is said."""
        sizes = [self.formula.ground.sizes[variable] for variable in self.order]
        diagram = Diagram(sizes, UNLIMITED)
        image = {other: TRUE if other == end else FALSE for other in (HOLDS, FAILS, EXCLUDED)}
        for number in reversed(self._downwards()):
            children = tuple(image[child] for child in self.states[number].children)
            image[number] = diagram.node(self._level(number), children) if children else undecided
        return Compiled(diagram, self.order, image[self.root], TRUE)

    def _level(self, number: int) -> int:
        return self.position[self.states[number].variable]

    def _downwards(self) -> list[int]:
        """The states, parents before children: a child asks for a later variable."""
        return sorted(range(len(self.states)), key=self._level)

    def _heaviest(self, count: int) -> list[int]:
        """The heaviest states that are not expanded, those without any probability left out."""
        masses = {number: float(mass.sum()) for number, mass in self._open().items()}
        weighty = [number for number, mass in masses.items() if mass > 0]
        return sorted(weighty, key=lambda number: (-masses[number], number))[:count]

    def _open(self) -> dict[int, Mass]:
        """The states that are not expanded, and with which probability each is reached."""
        reached: dict[int, Mass] = defaultdict(lambda: np.zeros(self.weights[0].shape[1]))
        if self.root >= 0:
            reached[self.root] += 1.0
        for number in self._downwards():
            state = self.states[number]
            for value, child in enumerate(state.children):
                if child >= 0:
                    reached[child] += reached[number] * self.weights[state.variable][value]
        return {number: reached[number] for number, state in enumerate(self.states) if not state.children}

    def _ends(self, assignments: NDArray[np.int32]) -> list[int]:
        """The state, or the end, of each assignment, int32 [S, variables]; new states are added."""
        count = len(assignments)
        values = self.formula.evaluate(assignments)
        decided = values.holds | values.fails | values.excluded
        relevant = self.formula.relevant(values, ((1 << count) - 1) & ~decided)
        variables = self.formula.next_variables(self.order, values, relevant, count)
        residues = self.formula.residues(values, relevant, count)
        ends = np.select(
            [from_bits(values.holds, count), from_bits(values.fails, count), from_bits(values.excluded, count)],
            [HOLDS, FAILS, EXCLUDED],
            UNDECIDED,
        )
        return [
            int(end) if end != UNDECIDED else self._state(residue, assignment, int(variable))
            for end, residue, assignment, variable in zip(ends, residues, assignments, variables, strict=True)
        ]

    def _state(self, residue: bytes, assignment: NDArray[np.int32], variable: int) -> int:
        if residue not in self._known:
            self._known[residue] = len(self.states)
            self.states.append(_State(assignment.copy(), variable))
        return self._known[residue]
