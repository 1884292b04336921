"""Which concept maps a rule allows: what it teaches a network, and what it leaves open.

A concept map renames the symbols of each network. If a map makes the rule less probable for no assignment of symbols, a
network that has learnt it satisfies the rule as well as the right one: a reasoning shortcut (Marconato et al. 2023).
Without noise in the rule, such a map takes every satisfying assignment to a satisfying one. Deciding whether there is
one is coNP-complete, and counting them is #P-complete, so the search has a budget.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from math import factorial, prod

import numpy as np
import torch

from gedi_nesy.logic.fewest_labels import fewest_labels
from gedi_nesy.logic.ground import Value
from gedi_nesy.logic.renaming import SAME, Map, Renamings, Symbol
from gedi_nesy.logic.solutions import Row

STATED = 1_000  # satisfying assignments that a search starts from; the others are checked at its end
KEPT = 1_000  # maps
SHOWN = 10  # maps


@dataclass(frozen=True)
class ConceptMaps:
    """The concept maps under which a rule is as probable as before on its support.

    Attributes:
        total: how many there are, the identity included.
        bijective: how many of them keep all symbols apart.
        balanced: how many keep every variable's marginal, as a prior on the marginals would enforce.
        bounds: which of "total", "bijective" and "balanced" are lower bounds, because the budget ended the search.
        examples: some of them, the balanced ones first: for each network, symbol to symbol; the identity left out.
        confused: for each network the sets of symbols that the rule and balanced marginals can't tell apart; where
            "balanced" is a lower bound, the sets known so far.
        labels: for each network the fewest symbols of which one labelled input each leaves a single bijective or
            balanced map; where these are lower bounds, of those known so far.
    """

    total: int
    bijective: int
    balanced: int
    bounds: tuple[str, ...]
    examples: tuple[dict[str, dict[Value, Value]], ...]
    confused: dict[str, tuple[tuple[Value, ...], ...]]
    labels: dict[str, tuple[Value, ...]] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether all counts are exact."""
        return not self.bounds

    def _count(self, name: str) -> str:
        return f"{'at least ' * (name in self.bounds)}{getattr(self, name):,}"

    def __str__(self) -> str:
        unknown = "no second concept map was found within the budget"
        alone = f"allows {self._count('total')} concept maps"
        if self.total == 1:
            alone = f"may pin down its symbols, {unknown}" if "total" in self.bounds else "pins down its symbols"
        prior = f"leaves {self._count('balanced')}"
        if self.balanced == 1:
            prior = f"may pin them down, {unknown}" if "balanced" in self.bounds else "pins them down"
        bijective = self._count("bijective")
        lines = [f"The rule alone {alone} ({bijective} bijective); with balanced marginals it {prior}."]
        known = ", at least" * ("balanced" in self.bounds)
        for network, groups in self.confused.items():
            lines += [f"It can't tell apart, for {network}{known}: {', '.join(map(str, group))}." for group in groups]
        return " ".join(lines)


class _Groups:
    """Sets of symbols, joined step by step; it starts with those of another."""

    def __init__(self, other: "_Groups | None" = None) -> None:
        self._of: dict[Symbol, frozenset[Symbol]] = dict(other._of) if other else {}

    def of(self, symbol: Symbol) -> frozenset[Symbol]:
        """The set that a symbol is in, of itself alone at first."""
        return self._of.get(symbol, frozenset((symbol,)))

    def join(self, a: Symbol, b: Symbol) -> None:
        """Make the sets of two symbols one."""
        if b not in self.of(a):
            joined = self.of(a) | self.of(b)
            self._of.update(dict.fromkeys(joined, joined))

    def sets(self) -> set[frozenset[Symbol]]:
        """The sets of more than one symbol."""
        return set(self._of.values())

    def orderings(self, found: Map) -> int:
        """How many maps are this one after a reordering of symbols within their sets."""
        same = [(len(group), Counter(found[symbol] for symbol in group).values()) for group in self.sets()]
        return prod(factorial(size) // prod(map(factorial, repeats)) for size, repeats in same)


def find_concept_maps(
    renamings: Renamings, support: Iterable[Row] | None, seconds: float, fixed: Collection[Symbol] = ()
) -> ConceptMaps:
    """Count the concept maps under which the rule is as probable as before for every row of the support.

    Args:
        renamings: the rule's.
        support: satisfying assignments; by default all of them.
        seconds: the budget.
        fixed: symbols that every map must leave as they are.
    """
    rows = _some_solutions(renamings) if support is None else list(dict.fromkeys(support))
    end = time.process_time() + seconds
    interchange = support is None and not fixed
    swaps, alike = _swaps(renamings, end - 0.75 * seconds) if interchange else ([], _Groups())
    tally = _Tally(swaps, alike)
    for left, kind in zip((3, 2, 1), ("balanced", "bijective", "total"), strict=True):
        now = time.process_time()
        tally.add(_MapSearch(renamings, rows, kind, alike, now + (end - now) / left, support is None, fixed))
    return tally.result(renamings)


class _Tally:
    """What the searches of each kind find: how many maps, some of them, and the symbols that they confuse.

    Args:
        swaps: maps that are known before.
        alike: the sets of symbols that these interchange.
    """

    def __init__(self, swaps: list[Map], alike: _Groups) -> None:
        self.alike, self.confused, self.kept = alike, _Groups(alike), list(swaps)
        self.apart = list(swaps)  # maps that keep symbols apart, or as common
        self.counts: dict[str, int] = {}
        self.bounds: list[str] = []

    def add(self, search: "_MapSearch") -> None:
        """Run the search of a kind."""
        count, kind = 0, search.kind
        for number, found in enumerate(search.maps()):
            count += self.alike.orderings(found)
            self.kept += [found] if number < KEPT else []
            self.apart += [found] if number < KEPT and kind != "total" else []
            if kind == "balanced":
                for (network, source), target in found.items():
                    self.confused.join((network, source), (network, target))
        if not search.exact:
            self.bounds.append(kind)
            count = max(count, prod(factorial(len(group)) for group in self.alike.sets()))
        self.counts[kind] = count

    def result(self, renamings: Renamings) -> ConceptMaps:
        """All of it, by the names of symbols; a map of one kind may be of the others, too."""
        counts, bounds = self.counts, self.bounds
        if "total" not in bounds:  # a bound that reaches it is exact
            bounds = [kind for kind in bounds if counts[kind] < counts["total"]]
        different = {frozenset(found.items()): found for found in self.kept}.values()
        others = [found for found in different if any(s[1] != t for s, t in found.items())]
        examples = tuple(_named(found, renamings) for found in others[:SHOWN])
        confused = _confused(self.confused, renamings)
        labels = _of_networks(fewest_labels(self.apart, self.alike.sets()), renamings)
        most = max(counts.values())
        return ConceptMaps(most, counts["bijective"], counts["balanced"], tuple(bounds), examples, confused, labels)


def _swaps(renamings: Renamings, deadline: float) -> tuple[list[Map], _Groups]:
    """Swaps of two symbols that keep all solutions and marginals, and the sets of symbols they interchange.

    Concept maps of all solutions compose, so any reordering within these sets is one as well.
    """
    shares: dict[Symbol, list[float]] = {}  # of each symbol, at each of its network's levels
    for network, marginal in zip(renamings.networks, renamings.marginals, strict=True):
        for value, share in enumerate(marginal):
            shares.setdefault((network, value), []).append(share)
    present = renamings.present()
    swaps: list[Map] = []
    alike = _Groups()
    for a, b in combinations(present, 2):
        if a[0] == b[0] and np.allclose(shares[a], shares[b], SAME, 0) and b not in alike.of(a):
            if time.process_time() > deadline:
                break
            swap = {symbol: symbol[1] for symbol in present} | {a: b[1], b: a[1]}
            if renamings.counterexample(swap) is None:
                swaps.append(swap)
                alike.join(a, b)
    return swaps, alike


def _some_solutions(renamings: Renamings) -> list[Row]:
    if renamings.solutions.total <= STATED:
        return list(renamings.solutions)
    arguments, values = renamings.distribution.sample(STATED, torch.Generator().manual_seed(0))
    by_level = values[list(renamings.solutions.order)].t().tolist()
    return [(tuple(own), tuple(row)) for own, row in zip(arguments.t().tolist(), by_level, strict=True)]


def _named(found: Map, renamings: Renamings) -> dict[str, dict[Value, Value]]:
    named: dict[str, dict[Value, Value]] = {network: {} for network in renamings.domains}
    for (network, source), target in found.items():
        named[network][renamings.domains[network][source]] = renamings.domains[network][target]
    return named


def _confused(groups: _Groups, renamings: Renamings) -> dict[str, tuple[tuple[Value, ...], ...]]:
    """The sets by network, as symbols."""
    named: dict[str, tuple[tuple[Value, ...], ...]] = {}
    for members in sorted(map(sorted, groups.sets())):
        network = members[0][0]
        named[network] = (*named.get(network, ()), tuple(renamings.domains[network][i] for _, i in members))
    return named


def _of_networks(symbols: Iterable[Symbol], renamings: Renamings) -> dict[str, tuple[Value, ...]]:
    """Symbols as values, by network."""
    named: dict[str, tuple[Value, ...]] = {}
    for network, value in symbols:
        named[network] = (*named.get(network, ()), renamings.domains[network][value])
    return named


def _in_order(rows: Iterable[Row], renamings: Renamings, present: Iterable[Symbol]) -> list[Symbol]:
    """Symbols in an order that decides rows early: next the one that completes most rows, then that occurs in most."""
    left = dict.fromkeys(present)
    pending = [set(renamings.symbols_of(row)) for row in rows]
    order: list[Symbol] = []
    while left:
        completes = Counter(next(iter(row)) for row in pending if len(row) == 1)
        occurs = Counter(symbol for row in pending for symbol in row)
        best = max(left, key=lambda symbol: (completes[symbol], occurs[symbol]))
        order.append(best)
        del left[best]
        pending = [row - {best} for row in pending if row - {best}]
    return order


class _MapSearch:
    """All maps of a kind under which the rule is as probable as before for every row, by backtracking.

    Args:
        renamings: the rule's.
        rows: the support, or part of it; counterexamples that the search meets are added.
        kind: "total": any map; "bijective"; or "balanced": every variable's marginal stays as it is.
        alike: sets of interchangeable symbols; of maps that differ by a reordering within them one is found.
        deadline: when to give up; `exact` is False then.
        check_all: check a map against all assignments before it counts.
        fixed: symbols that a map must leave as they are.
    """

    def __init__(
        self,
        renamings: Renamings,
        rows: list[Row],
        kind: str,
        alike: _Groups,
        deadline: float,
        check_all: bool,
        fixed: Collection[Symbol],
    ) -> None:
        self.renamings, self.rows, self.kind, self.alike, self.check_all = renamings, rows, kind, alike, check_all
        self.fixed = fixed
        self.deadline, self.exact = deadline, True
        present = {symbol: None for row in rows for symbol in renamings.symbols_of(row)}
        if check_all:
            present = dict.fromkeys(renamings.present())
        self.order = _in_order(rows, renamings, present)
        self.touching: dict[Symbol, list[Row]] = {symbol: [] for symbol in self.order}
        for row in rows:
            self._attach(row)
        self.assigned: Map = {}
        self.mass = [[0.0] * len(marginal) for marginal in renamings.marginals]  # of each level's values under the map

    def _attach(self, row: Row) -> None:
        for symbol in set(self.renamings.symbols_of(row)):
            self.touching[symbol].append(row)

    def maps(self) -> Iterator[Map]:
        """The maps, one after the other."""
        if len(self.assigned) == len(self.order):
            counterexample = self._counterexample()
            if counterexample is None:
                yield dict(self.assigned)
            else:
                self.rows.append(counterexample)
                self._attach(counterexample)
            return
        symbol = self.order[len(self.assigned)]
        least = max(self.assigned.get(other, 0) for other in self.alike.of(symbol))
        for target in range(least, len(self.renamings.domains[symbol[0]])):
            if time.process_time() > self.deadline:
                self.exact = False
                return
            if self.kind == "bijective" and (symbol[0], target) in self._used():
                continue
            if symbol in self.fixed and target != symbol[1]:
                continue
            self._assign(symbol, target, 1)
            if self._balanced(symbol[0], target) and self._possible(symbol):
                yield from self.maps()
            self._assign(symbol, target, -1)

    def _counterexample(self) -> Row | None:
        return self.renamings.counterexample(self.assigned) if self.check_all else None

    def _used(self) -> set[Symbol]:
        return {(network, target) for (network, _), target in self.assigned.items()}

    def _assign(self, symbol: Symbol, target: int, sign: int) -> None:
        if sign > 0:
            self.assigned[symbol] = target
        else:
            del self.assigned[symbol]
        for level, marginal in enumerate(self.renamings.marginals):
            if self.renamings.networks[level] == symbol[0]:
                self.mass[level][target] += sign * marginal[symbol[1]]

    def _balanced(self, network: str, target: int) -> bool:
        if self.kind != "balanced":
            return True
        levels = zip(self.renamings.networks, self.mass, self.renamings.marginals, strict=True)
        return all(mass[target] <= share[target] + SAME for name, mass, share in levels if name == network)

    def _possible(self, symbol: Symbol) -> bool:
        return all(self.renamings.still_likely(row, self.assigned) for row in self.touching[symbol])
