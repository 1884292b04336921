"""A ground program's formula as a graph: variable orders, cycles, nested conjunctions."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from gedi_nesy.errors import UserError
from gedi_nesy.logic.ground import GroundProgram


def variable_orders(ground: GroundProgram, tiers: Callable[[int], int]) -> list[tuple[int, ...]]:
    """Variable orders to try: by first occurrence in the formula, as the query names the images, as the grounder met
    them, and each of these backwards; in each the tiers of variables come one after the other."""
    every = range(len(ground.sizes))
    met = [node[1] for node in ground.nodes if node[0] == "literal" and node[1] is not None]
    orders = [_first_occurrences(ground), tuple(every), tuple(dict.fromkeys([*met, *every]))]
    orders += [order[::-1] for order in orders]
    return list(dict.fromkeys(tuple(sorted(order, key=tiers)) for order in orders))


def children_of(ground: GroundProgram, node: int) -> list[int]:
    """The nodes below a node, signs and constants dropped."""
    kind, *rest = ground.nodes[node - 1]
    return [] if kind == "literal" else [abs(child) for child in rest[0] if child]


def _roots(ground: GroundProgram) -> list[int]:
    given = [node for pair in ground.given for node in pair]
    return [abs(node) for node in (ground.root, *ground.evidence, *given) if node]


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
    """Merge each conjunction that occurs in only one other into that one: ProbLog nests the goals of a body."""
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
    """Strongly connected components of the formula below its roots, those below first."""
    import networkx as nx  # here, as a rule from the cache does without, and its import takes .2 s

    graph = nx.DiGraph()
    waiting = _roots(ground)
    graph.add_nodes_from(waiting)
    while waiting:
        node = waiting.pop()
        children = children_of(ground, node)
        waiting += [child for child in children if child not in graph]
        graph.add_edges_from((node, child) for child in children)
    return [sorted(component) for component in nx.strongly_connected_components(graph)]  # Tarjan's order: sinks first


def check_negation(ground: GroundProgram, component: Sequence[int]) -> None:
    """Raise a UserError where a node of a cycle is negated within it."""
    members = set(component)
    for node in component:
        kind, *rest = ground.nodes[node - 1]
        if kind != "literal" and any(child is not None and -child in members for child in rest[0]):
            raise UserError("the rule depends on its own negation, so it has no single meaning: break that cycle")
