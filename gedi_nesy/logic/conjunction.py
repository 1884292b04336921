"""Conjoins many diagrams: first takes from each what the others rule out, until nothing changes.

One after the other, conjuncts that share most variables grow far beyond their conjunction; a 9 by 9 sudoku's rows alone
have 10^27 solutions, though the whole puzzle has one. Each conjunct's own diagram is small, and says which values its
variables can take at all (generalised arc consistency, Mackworth 1977).
"""

from collections.abc import Iterable
from functools import reduce

from gedi_nesy.logic.diagram import FALSE, TRUE, Diagram


def conjoin_all(diagram: Diagram, operands: Iterable[int]) -> int:
    """The conjunction of some nodes."""
    parts = _from_below(diagram, operands)
    if sum(not diagram.is_literal(part) for part in parts) > 2:
        parts = _from_below(diagram, _propagated(diagram, parts))
    return reduce(diagram.conjoin, parts, TRUE)


def disjoin_all(diagram: Diagram, operands: Iterable[int]) -> int:
    """The disjunction of some nodes."""
    return reduce(diagram.disjoin, _from_below(diagram, operands), FALSE)


def _from_below(diagram: Diagram, operands: Iterable[int]) -> list[int]:
    """From the bottom of the diagram up, which keeps what lies between small."""
    return sorted(set(operands), key=lambda node: (-diagram.level[node], node))


def _propagated(diagram: Diagram, parts: list[int]) -> list[int]:
    """The parts, each without the values that another one rules out."""
    left = [frozenset(range(size)) for size in diagram.sizes]
    while True:
        supported = (diagram.supported(part) for part in parts)
        still = [frozenset.intersection(*sets) for sets in zip(left, *supported, strict=True)]
        if still == left:
            return parts
        left = still
        allowed = _one_of(diagram, left)
        parts = [diagram.conjoin(part, allowed) for part in parts]


def _one_of(diagram: Diagram, left: list[frozenset[int]]) -> int:
    """Every variable has one of the values left to it."""
    node = TRUE
    for level in reversed(range(len(left))):
        node = diagram.node(level, tuple(node if v in left[level] else FALSE for v in range(diagram.sizes[level])))
    return node
