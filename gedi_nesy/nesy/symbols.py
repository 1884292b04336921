"""What a rule identifies: the concept maps it allows, and the names it gives to clusters.

A concept map renames the symbols of each network. If a map takes every satisfying assignment to a satisfying one, a
network that has learnt it satisfies the rule as well as the right one: a reasoning shortcut (Marconato et al. 2023).
Deciding whether there is one is coNP-complete, counting them #P-complete, so both searches have a budget.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gedi_nesy.nesy.diagram import FALSE, TRUE
from gedi_nesy.nesy.grounding import Variable
from gedi_nesy.nesy.program import Value
from gedi_nesy.nesy.solutions import Solutions

Symbol = tuple[str, int]  # a network and an index into its domain
Map = dict[Symbol, int]  # to another index into the same domain
Row = tuple[int, tuple[int, ...]]  # the root of an answer, and a value at each level of the diagram

STATED = 1_000  # satisfying assignments that the search for maps starts from
SHOWN = 10  # maps
OPEN = -1


@dataclass(frozen=True)
class Diagnosis:
    """The concept maps under which a rule still holds on its support.

    Attributes:
        total: how many there are, the identity included.
        bijective: how many of them keep all symbols apart.
        balanced: how many keep every variable's marginal, as a prior on the marginals would enforce.
        exact: False where the budget ended the search: then the counts are lower bounds.
        examples: some of them, the balanced ones first: for each network, symbol to symbol; the identity left out.
        confused: for each network the sets of symbols that the rule and balanced marginals can't tell apart.
    """

    total: int
    bijective: int
    balanced: int
    exact: bool
    examples: tuple[dict[str, dict[Value, Value]], ...]
    confused: dict[str, tuple[tuple[Value, ...], ...]]

    def __str__(self) -> str:
        least = "" if self.exact else "at least "
        alone = "pins down its symbols" if self.total == 1 else f"allows {least}{self.total:,} concept maps"
        prior = "pins them down" if self.balanced == 1 else f"leaves {least}{self.balanced:,}"
        if not self.exact and self.total == 1:
            alone = "allows no second concept map within the budget"
        lines = [f"The rule alone {alone} ({least}{self.bijective:,} bijective); with balanced marginals it {prior}."]
        for network, groups in self.confused.items():
            lines += [f"It can't tell apart, for {network}: {', '.join(map(str, group))}." for group in groups]
        return " ".join(lines)


@dataclass(frozen=True)
class Alignment:
    """The names of clusters under which most examples satisfy the rule.

    Attributes:
        symbols: for each network the index into its domain that each cluster stands for.
        satisfied: the share of the examples that satisfy the rule under these names.
        margin: by how much that exceeds the best other naming's share.
        exact: False where the budget ended the search.
    """

    symbols: dict[str, tuple[int, ...]]
    satisfied: float
    margin: float
    exact: bool


class Symbols:
    """Searches over renamings of a rule's symbols.

    Args:
        variables: the rule's neural variables.
        solutions: its satisfying assignments.
    """

    def __init__(self, variables: Sequence[Variable], solutions: Solutions) -> None:
        self.solutions, self.diagram = solutions, solutions.diagram
        self.order = solutions.compiled.order  # the variable at each level
        self.networks = [variables[variable].network for variable in self.order]
        self.domains = {variable.network: variable.domain for variable in variables}
        self.weights = solutions.values()  # of each level's values: in how many solutions they occur
        self._possible: dict[Row, bool] = {}

    def diagnose(self, support: Iterable[Row] | None, seconds: float) -> Diagnosis:
        """Count the concept maps under which every row of the support still satisfies the rule.

        Args:
            support: satisfying assignments; by default all of them.
            seconds: the budget.
        """
        rows = list(dict.fromkeys(support)) if support is not None else self._some_solutions()
        results, exact = {}, True
        for kind in ("balanced", "bijective", "total"):
            search = _MapSearch(self, rows, kind, verify=support is None)
            results[kind], complete = search.run(time.monotonic() + seconds / 3)
            exact &= complete
            rows = search.rows  # with the counterexamples it has met
        shown = [m for kind in ("balanced", "bijective", "total") for m in results[kind] if any(s[1] != t for s, t in m.items())]
        return Diagnosis(
            total=len(results["total"]),
            bijective=len(results["bijective"]),
            balanced=len(results["balanced"]),
            exact=exact,
            examples=tuple(self._named(m) for m in shown[:SHOWN]),
            confused=self._confused(results["balanced"]),
        )

    def _some_solutions(self) -> list[Row]:
        if self.solutions.total <= STATED:
            return list(self.solutions)
        ...

    def possible(self, root: int, values: Sequence[int]) -> bool:
        """Whether the rule can still hold when some levels' values are open."""
        key = (root, tuple(values))
        if key not in self._possible:
            nodes = {root}
            for value in values:
                below = (self.diagram.children[n] if value == OPEN else self.diagram.children[n][value : value + 1] for n in nodes)
                nodes = {child for children in below for child in children if child != FALSE}
            self._possible[key] = bool(nodes)
        return self._possible[key]

    def counterexample(self, renaming: Map) -> Row | None:
        """A satisfying assignment that the map takes to one that is not; None where there is none."""
        for root in self.solutions.roots:
            path = self._escape(root, root, renaming, 0, set())
            if path is not None:
                return root, tuple(path)
        return None

    def _escape(self, node: int, renamed: int, renaming: Map, level: int, safe: set[tuple[int, int]]) -> list[int] | None:
        if node == FALSE or (node, renamed) in safe:
            return None
        if level == len(self.order):
            return [] if renamed == FALSE else None
        for value, child in enumerate(self.diagram.children[node]):
            if child != FALSE:
                target = FALSE if renamed == FALSE else self.diagram.children[renamed][renaming[self.networks[level], value]]
                path = self._escape(child, target, renaming, level + 1, safe)
                if path is not None:
                    return [value, *path]
        safe.add((node, renamed))
        return None
