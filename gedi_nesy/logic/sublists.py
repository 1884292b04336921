"""Which results of a findall/3 can hold together: ProbLog grounds every subset of them, two to their number.

A variable has one value, so of `findall(A, digit(X,A), L)` ten lists are possible, not a thousand, and of a findall
over such lists ten times ten. What follows from that is found by propagation alone, so some impossible ones are left.
"""

from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import Any

from problog import engine_builtin
from problog.engine_stack import SimpleProbabilisticBuiltIn

OTHER = -1  # of a variable: any value that occurs in none of the results

Box = dict[Any, frozenset[int]]  # for each variable the values that a result leaves it


def ground_possible_lists(engine: Any, sizes: Sequence[int]) -> None:
    """Make an engine's findall/3 and all/3 enumerate lists that are possible.

    Args:
        engine: ProbLog's.
        sizes: the number of values of the networks net0, net1, ...
    """

    def select(results: Sequence[tuple[Any, int]], formula: Any) -> Iterator[tuple[tuple[Any, ...], tuple[int, ...]]]:
        return _Sublists(formula, results, sizes).run()

    names = vars(engine_builtin) | {"_select_sublist": select}
    for name in ("_builtin_findall_base", "_builtin_findall", "_builtin_all", "_builtin_all_or_none"):
        theirs = names[name]
        names[name] = FunctionType(theirs.__code__, names, name, theirs.__defaults__)
    for name in ("findall", "all", "all_or_none"):
        engine.add_builtin(name, 3, SimpleProbabilisticBuiltIn(names[f"_builtin_{name}"]))


class _Sublists:
    """The subsets of some results, each a term and its node in a formula, in ProbLog's order."""

    def __init__(self, formula: Any, results: Sequence[tuple[Any, int]], sizes: Sequence[int]) -> None:
        self.formula, self.results, self.sizes = formula, results, sizes
        self.values: dict[Any, set[int]] = {}
        self.exact: dict[int, bool] = {}  # whether a node is its box and no less
        self.boxes: dict[int, Box] = {}
        self.open = [i for i, (_, node) in enumerate(results) if node not in (formula.TRUE, formula.FALSE)]
        self.certain = {i for i, (_, node) in enumerate(results) if node == formula.TRUE}
        for i in self.open:
            self._collect(results[i][1], set())

    def run(self) -> Iterator[tuple[tuple[Any, ...], tuple[int, ...]]]:
        """For each subset its terms, and its nodes with the negations of the others, and a 0 as ProbLog adds."""
        for chosen in self._choose(len(self.open), {}):
            members = self.certain | chosen
            inside = [result for i, result in enumerate(self.results) if i in members]
            outside = [self.formula.negate(node) for i, (_, node) in enumerate(self.results) if i not in members]
            yield tuple(term for term, _ in inside), (*(node for _, node in inside), *outside, 0)

    def _choose(self, n: int, left: Box) -> Iterator[set[int]]:
        """Which of the first n uncertain results are in, given what the later ones leave of the variables."""
        if not n:
            yield set()
            return
        place = self.open[n - 1]
        node = self.results[place][1]
        within, without = self._within(left, node), self._without(left, node)
        if within is not None:
            for chosen in self._choose(n - 1, within):
                yield {*chosen, place}
        if without is not None:
            yield from self._choose(n - 1, without)

    def _within(self, left: Box, node: int) -> Box | None:
        """What is left of the variables when the node holds; None where nothing is."""
        within = left | {v: values & self._left(left, v) for v, values in self._box(node).items()}
        return within if all(within.values()) else None

    def _without(self, left: Box, node: int) -> Box | None:
        """What is left of them when it does not."""
        box = self._box(node)
        open_ = [v for v, values in box.items() if not self._left(left, v) <= values]
        if not self.exact[node] or len(open_) > 1:
            return left
        if not open_:
            return None
        (variable,) = open_
        rest = self._left(left, variable) - box[variable]
        return left | {variable: rest} if rest else None

    def _left(self, left: Box, variable: Any) -> frozenset[int]:
        return left.get(variable) or self._domain(variable)

    def _domain(self, variable: Any) -> frozenset[int]:
        size = variable[1]
        values = self.values[variable]
        return frozenset(values if len(values) == size else {*values, OTHER})

    def _collect(self, node: int | None, seen: set[int]) -> None:
        """The values of the variables that occur below a node."""
        if not node or abs(node) in seen:
            return
        seen.add(abs(node))
        below = self.formula.get_node(abs(node))
        if type(below).__name__ == "atom":
            variable, value = self._literal(below)
            self.values.setdefault(variable, set()).add(value)
        else:
            for child in below.children:
                self._collect(child, seen)

    def _literal(self, atom: Any) -> tuple[Any, int]:
        """An atom's variable, with the number of its values where that is known, and the value."""
        if atom.group is None:
            return (("fact", atom.identifier), None), 0
        weight, size = atom.probability, None
        if getattr(weight, "functor", None) == "nn" and weight.arity == 3:
            size = self.sizes[int(str(weight.args[0])[3:])]
        return (atom.group, size), atom.identifier[2]

    def _box(self, node: int) -> Box:
        """For each variable the values under which a node can hold; `exact` says whether it then does."""
        if node not in self.boxes:
            self.boxes[node], self.exact[node] = {}, False  # what a cycle comes back to
            self.boxes[node], self.exact[node] = self._read(node)
        return self.boxes[node]

    def _read(self, node: int) -> tuple[Box, bool]:
        if node < 0:
            box = self._box(-node)
            if not self.exact[-node] or len(box) != 1:
                return {}, False
            return {v: self._domain(v) - values for v, values in box.items()}, True
        below = self.formula.get_node(node)
        kind = type(below).__name__
        if kind == "atom":
            variable, value = self._literal(below)
            return {variable: frozenset({value})}, not below.is_extra
        if kind != "conj":  # a disjunction may still grow
            return {}, False
        children = [child for child in below.children if child]
        both: Box = {}
        for child in children:
            both |= {v: values & both.get(v, values) for v, values in self._box(child).items()}
        return both, all(self.exact[child] for child in children)
