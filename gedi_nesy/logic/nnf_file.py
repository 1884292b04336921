"""A rule's diagram as a file that other systems read: an arithmetic circuit in c2d's form.

    nnf NODES EDGES VARIABLES
    L 3            literal 3
    A 2 0 7        the conjunction of the nodes 0 and 7; nodes are numbered from 0 in the order of their lines
    O 0 2 4 5      the disjunction of the nodes 4 and 5, of which one at most is true

A categorical variable has one Boolean variable for each of its values; only positive literals occur, one of each
categorical variable on every path. So P(rule) is the circuit's value where each literal weighs its value's probability,
and the number of solutions is its value where each weighs 1. That exactly one of a variable's values is true is not in
the file, without which the nodes of a disjunction are no exclusive formulas: a model counter, or whatever smooths a
circuit by adding negative literals, gives other numbers.
"""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from gedi_nesy.errors import UserError
from gedi_nesy.files import write_atomically
from gedi_nesy.logic.compiled import Compiled, smoothed
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.diagram import FALSE, TRUE
from gedi_nesy.logic.ground import Key, Value


def write_nnf(rule: Constraint, path: str | Path) -> list[tuple[Key, Value]]:
    """Write a rule's diagram as an .nnf file.

    Args:
        rule: without random variables of its own, evidence, or arguments.
        path: the file.

    Returns:
        What each Boolean variable says, from variable 1 on: the key of a variable of the rule, and its value.

    Raises:
        UserError: the rule has what a circuit of its symbols alone can't hold, or the file can't be written.
    """
    if rule.diagram.evidence != TRUE or rule.arguments or rule.weights.sources:
        raise UserError(f"{rule.query.goal} has evidence, arguments or probabilities of its own: an .nnf file has none")
    sizes = [len(variable.domain) for variable in rule.variables]
    lines = _lines_of(smoothed(rule.diagram), sizes)
    edges = sum(len(line.split()) - (2 if line[0] == "A" else 3) for line in lines if line[0] != "L")
    header = f"nnf {len(lines)} {edges} {sum(sizes)}"
    try:
        write_atomically(Path(path), "\n".join([header, *lines, ""]).encode())
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}.") from error
    return [(variable.key, value) for variable in rule.variables for value in variable.domain]


def _lines_of(compiled: Compiled, sizes: Sequence[int]) -> list[str]:
    """The lines below the header: the literals, then the diagram from below, its root last."""
    diagram, first = compiled.nodes, [0, *accumulate(sizes)]
    lines = [f"L {literal + 1}" for literal in range(sum(sizes))]
    place = {}
    for end, line in ((TRUE, "A 0"), (FALSE, "O 0 0")):
        place[end] = len(lines)
        lines.append(line)
    for node in diagram.reachable([compiled.root]):
        own = first[compiled.order[diagram.level[node]]]
        products = []
        for value, child in enumerate(diagram.children[node]):
            if child != FALSE:
                products.append(len(lines))
                lines.append(f"A 2 {own + value} {place[child]}")
        place[node] = len(lines)
        lines.append(f"O 0 {len(products)} {' '.join(map(str, products))}")
    if compiled.root <= TRUE:
        lines.append(f"A 1 {place[compiled.root]}")
    return lines
