"""A ground program's formula as a graph: variable orders, cycles, nested conjunctions."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gedi_nesy.errors import UserError
from gedi_nesy.logic.ground import GroundProgram


def variable_orders(ground: GroundProgram, facts_last: bool) -> list[tuple[int, ...]]:
    """Variable orders worth a try: by first occurrence in the formula, as the query names the images, as the grounder
    met them, and each backwards."""
    every = range(len(ground.sizes))
    met = [node[1] for node in ground.nodes if node[0] == "literal" and node[1] is not None]
    orders = [_first_occurrences(ground), tuple(every), tuple(dict.fromkeys([*met, *every]))]
    orders += [order[::-1] for order in orders]
    if facts_last:
        orders = [tuple(sorted(order, key=lambda v: v >= len(ground.variables))) for order in orders]
    return list(dict.fromkeys(orders))


def children_of(ground: GroundProgram, node: int) -> list[int]:
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
            children = sorted(children_of(ground, node), key=lambda c: ground.nodes[c - 1][0] != "literal")
            stack.extend(reversed(children))
    return tuple(order) + tuple(v for v in range(len(ground.sizes)) if v not in order)


def flattened(ground: GroundProgram) -> GroundProgram:
    """The same, each conjunction that occurs in one other only merged into that: ProbLog nests the goals of a body."""
    parents = Counter(_roots(ground))
    stack = list(parents)
    while stack:
        for child in children_of(ground, stack.pop()):
            stack += [child] * (child not in parents)
            parents[child] += 1

    def is_nested(child: int | None) -> bool:
        return child is not None and child > 0 and parents[child] == 1 and ground.nodes[child - 1][0] == "and"

    conjunctions = [node for node in parents if ground.nodes[node - 1][0] == "and"]
    merged = {child for node in conjunctions for child in ground.nodes[node - 1][1] if is_nested(child)}
    nodes = list(ground.nodes)
    for node in conjunctions:
        if node not in merged:
            conjuncts, left = [], list(ground.nodes[node - 1][1])
            while left:
                child = left.pop()
                if is_nested(child):
                    left.extend(ground.nodes[child - 1][1])
                else:
                    conjuncts.append(child)
            nodes[node - 1] = ("and", tuple(conjuncts))
    return replace(ground, nodes=tuple(nodes))


def components(ground: GroundProgram) -> list[list[int]]:
    """Strongly connected components of the formula, those below first (Tarjan 1972, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    unassigned: dict[int, None] = {}  # visited nodes whose component is not known yet, in order
    found = []

    def visit(node: int) -> tuple[int, Iterator[int]]:
        index[node] = low[node] = len(index)
        unassigned[node] = None
        return node, iter(children_of(ground, node))

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
                    found.append(component[::-1])
    return found


def check_negation(ground: GroundProgram, component: Sequence[int]) -> None:
    """Raise a UserError where a node of a cycle is negated within it."""
    members = set(component)
    for node in component:
        kind, *rest = ground.nodes[node - 1]
        if kind != "literal" and any(child is not None and -child in members for child in rest[0]):
            raise UserError("the rule depends on its own negation, so it has no single meaning: break that cycle")
