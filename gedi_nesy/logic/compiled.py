"""The decision diagrams of a rule, and their forms: compact, smooth, projected onto some variables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gedi_nesy.logic.diagram import FALSE, TRUE, Diagram
from gedi_nesy.logic.ground import GroundProgram


@dataclass(frozen=True)
class Compiled:
    """The diagrams of a ground program.

    Attributes:
        nodes: the nodes of all of them.
        order: the variable at each level, numbered as in the ground program.
        root: the node of "query and evidence".
        evidence: the node of the evidence; TRUE where there is none.
    """

    nodes: Diagram
    order: tuple[int, ...]
    root: int
    evidence: int

    @property
    def size(self) -> int:
        """Number of nodes in use."""
        return len(self.nodes.reachable([self.root, self.evidence]))


@dataclass(frozen=True)
class Projected:
    """Diagrams over some of a ground program's variables, every path of which visits all of these.

    Attributes:
        nodes: the nodes of all of them.
        roots: of each diagram.
        order: the variable at each level, numbered as in the ground program.
    """

    nodes: Diagram
    roots: list[int]
    order: tuple[int, ...]


def compacted(compiled: Compiled, max_nodes: int) -> Compiled:
    """Copy the diagrams without nodes that are not in use, with a new budget of nodes."""
    old, new = compiled.nodes, Diagram(compiled.nodes.sizes, max_nodes)
    image = {FALSE: FALSE, TRUE: TRUE}
    for node in old.reachable([compiled.root, compiled.evidence]):
        image[node] = new.node(old.level[node], tuple(image[child] for child in old.children[node]))
    return Compiled(new, compiled.order, image[compiled.root], image[compiled.evidence])


def projected(
    ground: GroundProgram, compiled: Compiled, roots: Sequence[int], kept: Callable[[int], bool]
) -> Projected:
    """Under which values of some variables the rule is possible, whatever the others are.

    An argument has one of the values that the rule asks for. Every path of these diagrams visits every variable kept.

    Args:
        ground: the ground program.
        compiled: its diagrams.
        roots: nodes of these.
        kept: whether to keep the variable with this number.

    Raises:
        TooLarge: the diagrams outgrow their budget.
    """
    order = tuple(variable for variable in compiled.order if kept(variable))
    level_of = {variable: level for level, variable in enumerate(order)}
    old, new = compiled.nodes, Diagram([ground.sizes[variable] for variable in order], compiled.nodes.max_nodes)
    image = {FALSE: FALSE, TRUE: TRUE}
    for node in old.reachable(roots):
        variable = compiled.order[old.level[node]]
        children = [image[child] for child in old.children[node]]
        if variable in level_of:
            image[node] = new.node(level_of[variable], tuple(children))
        else:  # some value will do
            image[node] = FALSE
            for value in range(ground.possible(variable)):
                if not ground.never(variable, value):
                    image[node] = new.disjoin(image[node], children[value])
    asked_for = TRUE  # each argument's value is
    for level, variable in reversed(list(enumerate(order))):
        possible = ground.possible(variable)
        asked_for = new.node(level, (asked_for,) * possible + (FALSE,) * (ground.sizes[variable] - possible))
    return Projected(*_smooth(new, [new.conjoin(image[root], asked_for) for root in roots]), order)


def smoothed(compiled: Compiled) -> Compiled:
    """The same function as a diagram in which every path visits every variable."""
    smooth, (root,) = _smooth(compiled.nodes, [compiled.root])
    return Compiled(smooth, compiled.order, root, TRUE)


def _smooth(diagram: Diagram, roots: list[int]) -> tuple[Diagram, list[int]]:
    levels = len(diagram.sizes)
    smooth = Diagram(diagram.sizes, diagram.max_nodes, reduced=False)
    image: dict[tuple[int, int], int] = {(levels, TRUE): TRUE}

    def lift(node: int, level: int) -> int:
        """The node as one at this level, which lies at or above its own."""
        if node == FALSE:
            return FALSE
        if (level, node) not in image:
            here = diagram.level[node] == level
            below = diagram.children[node] if here else (node,) * diagram.sizes[level]
            image[level, node] = smooth.node(level, tuple(lift(child, level + 1) for child in below))
        return image[level, node]

    return smooth, [lift(root, 0) for root in roots]
