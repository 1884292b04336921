"""The decision diagrams of a rule, and their forms: compact, smooth, projected onto the neural variables."""

from dataclasses import dataclass

from gedi_nesy.logic.diagram import FALSE, TRUE, Diagram
from gedi_nesy.logic.ground import GroundProgram, Value


@dataclass(frozen=True)
class Compiled:
    """The diagrams of a ground program.

    Attributes:
        nodes: the nodes of all of them.
        order: the variable at each level, numbered as in the ground program.
        roots: for each answer, the node of "query and evidence".
        evidence: the node of the evidence; TRUE where there is none.
    """

    nodes: Diagram
    order: tuple[int, ...]
    roots: dict[tuple[Value, ...], int]
    evidence: int

    @property
    def size(self) -> int:
        """Number of nodes in use."""
        return len(self.nodes.reachable([*self.roots.values(), self.evidence]))


def compacted(compiled: Compiled, max_nodes: int) -> Compiled:
    """Copy the diagrams without nodes that are not in use, with a new budget of nodes."""
    old, new = compiled.nodes, Diagram(compiled.nodes.sizes, max_nodes)
    image = {FALSE: FALSE, TRUE: TRUE}
    for node in old.reachable([*compiled.roots.values(), compiled.evidence]):
        image[node] = new.node(old.level[node], tuple(image[child] for child in old.children[node]))
    roots = {answer: image[root] for answer, root in compiled.roots.items()}
    return Compiled(new, compiled.order, roots, image[compiled.evidence])


def neural_solutions(ground: GroundProgram, compiled: Compiled) -> Compiled:
    """The diagrams of the neural assignments under which the rule is possible, whatever value its facts take.

    Every path of these diagrams visits every neural variable.
    """
    neural = [variable for variable in compiled.order if variable < len(ground.variables)]
    level_of = {variable: level for level, variable in enumerate(neural)}
    sizes = [ground.sizes[variable] for variable in neural]
    old, new = compiled.nodes, Diagram(sizes, compiled.nodes.max_nodes)
    image = {FALSE: FALSE, TRUE: TRUE}
    for node in old.reachable(compiled.roots.values()):
        variable = compiled.order[old.level[node]]
        children = [image[child] for child in old.children[node]]
        if variable in level_of:
            image[node] = new.node(level_of[variable], tuple(children))
        else:  # some value of the fact will do
            image[node] = FALSE
            for value, child in enumerate(children):
                if not ground.never(variable, value):
                    image[node] = new.disjoin(image[node], child)
    roots = {answer: image[root] for answer, root in compiled.roots.items()}
    smooth, smooth_roots = _smooth(new, list(roots.values()))
    return Compiled(smooth, tuple(neural), dict(zip(roots, smooth_roots, strict=True)), TRUE)


def smoothed(compiled: Compiled) -> Compiled:
    """The same functions as diagrams in which every path visits every variable."""
    smooth, roots = _smooth(compiled.nodes, list(compiled.roots.values()))
    return Compiled(smooth, compiled.order, dict(zip(compiled.roots, roots, strict=True)), TRUE)


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
