"""A rule's formula under many partial assignments at once: true, false, or not decided yet (Kleene's logic).

Each node has two integers with one bit for each assignment: whether it is true whatever the open variables are, as far
as this logic sees, and whether it may be true.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gedi_nesy.logic.ground import GroundProgram
from gedi_nesy.logic.ground_graph import check_negation, children_of, components, flattened

OPEN = -1  # stands for the value of a variable that is not assigned


class Values(NamedTuple):
    """What is known of a formula under S assignments; bit s of an integer is about assignment s.

    Attributes:
        holds: where query and evidence are true.
        fails: where the evidence is true and the query is false.
        excluded: where the evidence is false.
        true: for each node where it is true.
        possible: for each node where it may be true.
    """

    holds: int
    fails: int
    excluded: int
    true: dict[int, int]
    possible: dict[int, int]


class Formula:
    """The formula of a ground program.

    Args:
        ground: the program.

    Raises:
        UserError: a node depends on its own negation.
    """

    def __init__(self, ground: GroundProgram) -> None:
        self.ground = flattened(ground)
        self.parts = components(self.ground)  # those below first
        for part in self.parts:
            check_negation(self.ground, part)
        self.nodes = [node for part in self.parts for node in part]
        self.literals: dict[int, tuple[int, int]] = {}  # of each node that is one its variable and value
        for node in self.nodes:
            kind, *rest = self.ground.nodes[node - 1]
            if kind == "literal" and not self.ground.never(*rest):
                self.literals[node] = (rest[0], rest[1])
        self._children = {node: children_of(self.ground, node) for node in self.nodes}

    def evaluate(self, assignments: NDArray[np.int32]) -> Values:
        """What is known under these assignments, int32 [S, variables], with OPEN where a variable has no value."""
        full = (1 << len(assignments)) - 1
        open_ = [to_bits(column == OPEN) for column in assignments.T]
        true, possible = dict.fromkeys(self.nodes, 0), dict.fromkeys(self.nodes, 0)
        for node, (variable, value) in self.literals.items():
            true[node] = to_bits(assignments[:, variable] == value)
            possible[node] = true[node] | open_[variable]

        def known(child: int | None, lower: dict[int, int], upper: dict[int, int]) -> int:
            if not child:
                return 0 if child is None else full
            return lower[child] if child > 0 else full & ~upper[-child]

        def combined(node: int, lower: dict[int, int], upper: dict[int, int]) -> int:
            kind, operands = self.ground.nodes[node - 1]
            result = full if kind == "and" else 0
            for child in operands:
                bits = known(child, lower, upper)
                result = result & bits if kind == "and" else result | bits
            return result

        for part in self.parts:
            inner = [node for node in part if self.ground.nodes[node - 1][0] != "literal"]
            changed = bool(inner)
            while changed:
                before = [(true[node], possible[node]) for node in inner]
                for node in inner:
                    true[node], possible[node] = combined(node, true, possible), combined(node, possible, true)
                changed = len(part) > 1 and before != [(true[node], possible[node]) for node in inner]
        query, may = known(self.ground.root, true, possible), known(self.ground.root, possible, true)
        evidence, evidence_may = full, full
        for child in self.ground.evidence:
            evidence &= known(child, true, possible)
            evidence_may &= known(child, possible, true)
        return Values(query & evidence, evidence & ~may, full & ~evidence_may, true, possible)

    def relevant(self, values: Values, pending: int) -> dict[int, int]:
        """For each node under which of the pending assignments a root that is not decided depends on it."""
        relevant = dict.fromkeys(self.nodes, 0)
        for root in (self.ground.root, *self.ground.evidence):
            if root:
                relevant[abs(root)] |= pending
        for part in reversed(self.parts):
            changed = True
            while changed:
                before = [relevant[node] for node in part]
                for node in part:
                    undecided = relevant[node] & values.possible[node] & ~values.true[node]
                    for child in self._children[node] if undecided else ():
                        relevant[child] |= undecided
                changed = len(part) > 1 and before != [relevant[node] for node in part]
        return relevant

    def next_variables(
        self, order: Iterable[int], values: Values, relevant: dict[int, int], count: int
    ) -> NDArray[np.int32]:
        """The first variable of an order on which each assignment's roots still depend, int32 [S]; OPEN for none."""
        undecided: dict[int, int] = {}
        for node, (variable, _) in self.literals.items():
            bits = relevant[node] & values.possible[node] & ~values.true[node]
            undecided[variable] = undecided.get(variable, 0) | bits
        chosen, left = np.full(count, OPEN, np.int32), (1 << count) - 1
        for variable in order:
            if bits := undecided.get(variable, 0) & left:
                chosen[from_bits(bits, count)] = variable
                left &= ~bits
        return chosen

    def residues(self, values: Values, relevant: dict[int, int], count: int) -> list[bytes]:
        """What each assignment leaves of the formula; where these are equal, so are the formulas left."""
        rows: list[NDArray[np.bool_]] = []
        for node in self.nodes:
            if cared := relevant[node]:
                decided = values.true[node] | ~values.possible[node]
                rows += [from_bits(cared & values.possible[node], count), from_bits(cared & decided, count)]
            else:
                rows += [np.zeros(count, bool)] * 2
        return [column.tobytes() for column in np.packbits(np.array(rows), axis=0).T.copy()] if rows else [b""] * count


def to_bits(flags: NDArray[np.bool_]) -> int:
    """Booleans, [S], as an integer: bit s is the s-th."""
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


def from_bits(bits: int, count: int) -> NDArray[np.bool_]:
    """The inverse of `to_bits`, [count]."""
    data = np.frombuffer(bits.to_bytes((count + 7) // 8, "little"), np.uint8)
    return np.unpackbits(data, count=count, bitorder="little").astype(bool)
