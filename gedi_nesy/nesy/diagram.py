"""A ground program as a multi-valued decision diagram over its categorical variables."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gedi_nesy.errors import UserError
from gedi_nesy.nesy.budget import TimeIsUp, time_limit
from gedi_nesy.nesy.grounding import GroundProgram, Value

FALSE, TRUE = 0, 1  # the two terminal nodes
FIRST_LIMIT = 2_000  # nodes that each variable order may make in the first round of a race between them
GROWTH = 4  # of that limit from round to round


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

    def reachable(self, roots: Iterable[int]) -> list[int]:
        """The nodes below these roots, terminals left out, children before parents."""
        seen, stack = set(), [root for root in roots if root > TRUE]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(child for child in self.children[node] if child > TRUE)
        return sorted(seen, key=lambda node: -self.level[node])


@dataclass(frozen=True)
class Compiled:
    """The diagrams of a ground program.

    Attributes:
        diagram: the nodes.
        order: the variable at each level, numbered as in the ground program.
        roots: for each answer, the node of "query and evidence".
        evidence: the node of the evidence; TRUE where there is none.
    """

    diagram: Diagram
    order: tuple[int, ...]
    roots: dict[tuple[Value, ...], int]
    evidence: int

    @property
    def size(self) -> int:
        """Number of nodes in use."""
        return len(self.diagram.reachable([*self.roots.values(), self.evidence]))


def compile_program(ground: GroundProgram, max_nodes: int, seconds: float, facts_last: bool = False) -> Compiled:
    """Compile a ground program, in the best of a few variable orders.

    The orders race: each may make so many nodes, then more, until one is done.

    Args:
        ground: the program.
        max_nodes: the budget for the nodes made on the way.
        seconds: the budget of time.
        facts_last: put the program's own random variables below the neural ones.

    Raises:
        UserError: every order outgrows the budget.
    """
    found: list[Compiled] = []
    orders, limit, in_time = _orders(ground, facts_last), min(FIRST_LIMIT, max_nodes), True
    try:
        with time_limit(seconds):
            components = _components(ground)
            while not found:
                for order in orders:
                    with suppress(TooLarge):
                        found.append(_compile(ground, components, order, limit))
                if limit == max_nodes:
                    break
                limit = min(GROWTH * limit, max_nodes)
    except TimeIsUp:
        in_time = False  # what has been found will do
    except RecursionError:
        raise UserError(f"the rule's {len(ground.sizes):,} variables make its decision diagram too deep") from None
    if not found:
        raise UserError(_too_large(ground, len(orders), limit, None if in_time else seconds))
    return min(found, key=lambda compiled: compiled.size)


def _too_large(ground: GroundProgram, orders: int, limit: int, seconds: float | None) -> str:
    """Why no diagram was found: it outgrew the limit of nodes, or the time was up on the way there."""
    reached = f"outgrew {limit:,} nodes" if seconds is None else f"was not done in {seconds:.3g} s at {limit:,} nodes"
    return (
        f"the rule's decision diagram over {len(ground.sizes)} variables {reached}, in {orders} variable orders: it is "
        "the wrong form for a rule that ties most variables to most others, such as a 9 by 9 sudoku; split the rule "
        "into queries of their own, write what is known into the query as constants, or raise the budget"
    )


def neural_solutions(ground: GroundProgram, compiled: Compiled) -> Compiled:
    """The assignments of the neural variables under which the rule is possible, its own random variables aside.

    Every path of these diagrams visits every neural variable.
    """
    neural = [variable for variable in compiled.order if variable < len(ground.variables)]
    level_of = {variable: level for level, variable in enumerate(neural)}
    sizes = [ground.sizes[variable] for variable in neural]
    old, new = compiled.diagram, Diagram(sizes, compiled.diagram.max_nodes)
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
    """The same functions, every path visiting every variable."""
    smooth, roots = _smooth(compiled.diagram, list(compiled.roots.values()))
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


def _orders(ground: GroundProgram, facts_last: bool) -> list[tuple[int, ...]]:
    """Variable orders worth a try: by first occurrence in the formula, as the query names the images, as the grounder
    met them, and each backwards."""
    every = range(len(ground.sizes))
    met = [node[1] for node in ground.nodes if node[0] == "literal" and node[1] is not None]
    orders = [_first_occurrences(ground), tuple(every), tuple(dict.fromkeys([*met, *every]))]
    orders += [order[::-1] for order in orders]
    if facts_last:
        orders = [tuple(sorted(order, key=lambda v: v >= len(ground.variables))) for order in orders]
    return list(dict.fromkeys(orders))


def _children(ground: GroundProgram, node: int) -> list[int]:
    """The nodes below a node, signs and constants dropped."""
    kind, *rest = ground.nodes[node - 1]
    return [] if kind == "literal" else [abs(child) for child in rest[0] if child]


def _roots(ground: GroundProgram) -> list[int]:
    given = [node for pair in ground.given for node in pair]
    return [abs(node) for node in (*ground.answers.values(), *ground.evidence, *given) if node]


def _first_occurrences(ground: GroundProgram) -> tuple[int, ...]:
    """The variables as a walk from the query down meets them, those next to a node before those further below."""
    order: dict[int, None] = {}
    seen, stack = set(), _roots(ground)[::-1]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            if ground.nodes[node - 1][0] == "literal":
                order[ground.nodes[node - 1][1]] = None
            children = sorted(_children(ground, node), key=lambda c: ground.nodes[c - 1][0] != "literal")
            stack.extend(reversed(children))
    return tuple(order) + tuple(v for v in range(len(ground.sizes)) if v not in order)


def _compile(ground: GroundProgram, components: list[list[int]], order: tuple[int, ...], max_nodes: int) -> Compiled:
    level_of = {variable: level for level, variable in enumerate(order)}
    diagram = Diagram([ground.sizes[variable] for variable in order], max_nodes)
    values: dict[int, int] = {}

    def value_of(child: int | None) -> int:
        if not child:
            return FALSE if child is None else TRUE
        return values[child] if child > 0 else diagram.negate(values[-child])

    def evaluate(node: int) -> int:
        kind, *rest = ground.nodes[node - 1]
        if kind == "literal":
            return FALSE if ground.never(*rest) else diagram.literal(level_of[rest[0]], rest[1])
        operands = sorted({value_of(child) for child in rest[0]}, key=lambda n: (-diagram.level[n], n))
        result = TRUE if kind == "and" else FALSE
        for operand in operands:  # from the bottom of the diagram up, which keeps what lies between small
            result = diagram.conjoin(result, operand) if kind == "and" else diagram.disjoin(result, operand)
        return result

    for component in components:
        _check_negation(ground, component)
        values.update(dict.fromkeys(component, FALSE))  # the least fixed point of a cycle
        changed = True
        while changed:
            new = {node: evaluate(node) for node in component}
            changed = len(component) > 1 and any(values[node] != new[node] for node in component)
            values.update(new)
    if any(value_of(open_) != value_of(given) for open_, given in ground.given):
        raise UserError(
            f"the rule's answers depend on whether its arguments are known yet, by {', '.join(ground.open_tests)}: "
            "let it find their values first, as by between(0,9,N), or ask for one value as a query of its own"
        )
    evidence = TRUE
    for node in ground.evidence:
        evidence = diagram.conjoin(evidence, value_of(node))
    if evidence == FALSE:
        raise UserError("the program's evidence is impossible")
    roots = {answer: diagram.conjoin(value_of(node), evidence) for answer, node in ground.answers.items()}
    return Compiled(diagram, order, {answer: root for answer, root in roots.items() if root != FALSE}, evidence)


def _check_negation(ground: GroundProgram, component: Sequence[int]) -> None:
    members = set(component)
    for node in component:
        kind, *rest = ground.nodes[node - 1]
        if kind != "literal" and any(child is not None and -child in members for child in rest[0]):
            raise UserError("the rule depends on its own negation, so it has no single meaning: break that cycle")


def _components(ground: GroundProgram) -> list[list[int]]:
    """Strongly connected components of the formula, those below first (Tarjan 1972, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    unassigned: dict[int, None] = {}  # visited nodes whose component is not known yet, in order
    components = []

    def visit(node: int) -> tuple[int, Iterator[int]]:
        index[node] = low[node] = len(index)
        unassigned[node] = None
        return node, iter(_children(ground, node))

    for root in _roots(ground):
        calls = [] if root in index else [visit(root)]
        while calls:
            node, below = calls[-1]
            for child in below:
                if child not in index:
                    calls.append(visit(child))
                    break
                if child in unassigned:
                    low[node] = min(low[node], index[child])
            else:
                calls.pop()
                if calls:
                    low[calls[-1][0]] = min(low[calls[-1][0]], low[node])
                if low[node] == index[node]:
                    component = []
                    while node in unassigned:
                        component.append(unassigned.popitem()[0])
                    components.append(component[::-1])
    return components
