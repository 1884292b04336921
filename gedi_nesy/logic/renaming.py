"""What a rule identifies: the concept maps it allows, and the names it gives to clusters.

A concept map renames the symbols of each network. If a map makes the rule less probable for no assignment of symbols, a
network that has learnt it satisfies the rule as well as the right one: a reasoning shortcut (Marconato et al. 2023).
Without noise in the rule, such a map takes every satisfying assignment to a satisfying one.
Deciding whether there is one is coNP-complete, counting them #P-complete, so both searches have a budget.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial, prod
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from gedi_nesy.logic.diagram import FALSE
from gedi_nesy.logic.ground import Value, Variable
from gedi_nesy.logic.likelihood import Likelihood
from gedi_nesy.logic.solutions import Row, Solutions
from gedi_nesy.logic.worlds import OwnDistribution

Symbol = tuple[str, int]  # a network and an index into its domain
Map = dict[Symbol, int]  # to another index into the same domain

STATED = 1_000  # satisfying assignments that a search for maps starts from; the others are checked at its end
KEPT = 1_000  # maps
SHOWN = 10  # maps
RESTARTS = 20  # of the hill climbing
OPEN = -1
UNKNOWN = -1
SAME = 1e-9  # probabilities that differ by less, relatively, are one


@dataclass(frozen=True)
class Diagnosis:
    """The concept maps under which a rule is as probable as before on its support.

    Attributes:
        total: how many there are, the identity included.
        bijective: how many of them keep all symbols apart.
        balanced: how many keep every variable's marginal, as a prior on the marginals would enforce.
        bounds: those of "total", "bijective" and "balanced" that are lower bounds, as the budget ended their search.
        examples: some of them, the balanced ones first: for each network, symbol to symbol; the identity left out.
        confused: for each network the sets of symbols that the rule and balanced marginals can't tell apart; where
            "balanced" is a lower bound, those known so far.
    """

    total: int
    bijective: int
    balanced: int
    bounds: tuple[str, ...]
    examples: tuple[dict[str, dict[Value, Value]], ...]
    confused: dict[str, tuple[tuple[Value, ...], ...]]

    @property
    def exact(self) -> bool:
        """Whether no count is a lower bound only."""
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


@dataclass(frozen=True)
class Alignment:
    """The names of clusters under which the rule is most probable.

    Attributes:
        symbols: for each network the index into its domain that each cluster stands for.
        satisfied: the share of the examples that satisfy the rule under these names, each counted by its probability.
        margin: by how much that exceeds the best other naming's share.
        exact: False where the budget ended the search.
    """

    symbols: dict[str, tuple[int, ...]]
    satisfied: float
    margin: float
    exact: bool


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


class Symbols:
    """Searches over renamings of a rule's symbols.

    Args:
        variables: the rule's neural variables.
        solutions: its satisfying assignments.
        likelihood: its probability given the symbols.
        distribution: how often they occur.
    """

    def __init__(
        self,
        variables: Sequence[Variable],
        solutions: Solutions,
        likelihood: Likelihood,
        distribution: OwnDistribution,
    ) -> None:
        self.solutions, self.distribution = solutions, distribution
        self.likelihood, self.diagram = likelihood, likelihood.diagram
        self.networks = [variables[variable].network for variable in solutions.order]  # of each level
        self.domains = {variable.network: variable.domain for variable in variables}
        marginals = distribution.marginals()
        self.marginals = [marginals[variable].tolist() for variable in solutions.order]  # of each level
        self._highest: dict[Row, float] = {}

    def diagnose(self, support: Iterable[Row] | None, seconds: float) -> Diagnosis:
        """Count the concept maps under which the rule is as probable as before for every row of the support.

        Args:
            support: satisfying assignments; by default all of them.
            seconds: the budget.
        """
        rows = self._some_solutions() if support is None else list(dict.fromkeys(support))
        end = time.monotonic() + seconds
        swaps, alike = self._swaps(end - 0.75 * seconds) if support is None else ([], _Groups())
        confused = _Groups(alike)
        kept, counts, bounds = list(swaps), {}, []
        for left, kind in zip((3, 2, 1), ("balanced", "bijective", "total"), strict=True):
            now = time.monotonic()
            search = _MapSearch(self, rows, kind, alike, now + (end - now) / left, check_all=support is None)
            counts[kind] = 0
            for number, found in enumerate(search.maps()):
                counts[kind] += alike.orderings(found)
                kept += [found] if number < KEPT else []
                if kind == "balanced":
                    for (network, source), target in found.items():
                        confused.join((network, source), (network, target))
            if not search.exact:
                bounds.append(kind)
                counts[kind] = max(counts[kind], prod(factorial(len(group)) for group in alike.sets()))
        if "total" not in bounds:  # a bound that reaches it is exact
            bounds = [kind for kind in bounds if counts[kind] < counts["total"]]
        different = {frozenset(found.items()): found for found in kept}.values()  # one can be of all kinds
        others = [found for found in different if any(s[1] != t for s, t in found.items())]
        examples = tuple(self._named(found) for found in others[:SHOWN])
        return Diagnosis(
            max(counts.values()),
            counts["bijective"],
            counts["balanced"],
            tuple(bounds),
            examples,
            self._confused(confused),
        )

    def _swaps(self, deadline: float) -> tuple[list[Map], "_Groups"]:
        """Swaps of two symbols that keep all solutions and marginals, and the sets of symbols they interchange.

        Concept maps of all solutions compose, so any reordering within these sets is one as well.
        """
        shares: dict[Symbol, list[float]] = {}  # of each symbol, at each of its network's levels
        for network, marginal in zip(self.networks, self.marginals, strict=True):
            for value, share in enumerate(marginal):
                shares.setdefault((network, value), []).append(share)
        present = self.present()
        swaps: list[Map] = []
        alike = _Groups()
        for a, b in combinations(present, 2):
            if a[0] == b[0] and np.allclose(shares[a], shares[b], SAME, 0) and b not in alike.of(a):
                if time.monotonic() > deadline:
                    break
                swap = {symbol: symbol[1] for symbol in present} | {a: b[1], b: a[1]}
                if self.counterexample(swap) is None:
                    swaps.append(swap)
                    alike.join(a, b)
        return swaps, alike

    def _some_solutions(self) -> list[Row]:
        if self.solutions.total <= STATED:
            return list(self.solutions)
        answers, values = self.distribution.sample(STATED, torch.Generator().manual_seed(0))
        by_level = values[list(self.solutions.order)].t().tolist()
        return [(answer, tuple(row)) for answer, row in zip(answers.tolist(), by_level, strict=True)]

    def present(self) -> list[Symbol]:
        """The symbols that occur in some solution."""
        levels = zip(self.networks, self.solutions.ways, strict=True)
        return list(dict.fromkeys((network, value) for network, ways in levels for value, n in enumerate(ways) if n))

    def _named(self, found: Map) -> dict[str, dict[Value, Value]]:
        named: dict[str, dict[Value, Value]] = {network: {} for network in self.domains}
        for (network, source), target in found.items():
            named[network][self.domains[network][source]] = self.domains[network][target]
        return named

    def _confused(self, groups: "_Groups") -> dict[str, tuple[tuple[Value, ...], ...]]:
        """The sets by network, as symbols."""
        named: dict[str, tuple[tuple[Value, ...], ...]] = {}
        for members in sorted(map(sorted, groups.sets())):
            network = members[0][0]
            named[network] = (*named.get(network, ()), tuple(self.domains[network][i] for _, i in members))
        return named

    def align(self, rows: Sequence[Row], seconds: float) -> Alignment:
        """Name clusters so that the rule is most probable, by branch and bound over bijections.

        Args:
            rows: for each example its answer's number and, at each level, its image's cluster.
            seconds: the budget.
        """
        return _NameSearch(self, Counter(rows)).run(time.monotonic() + seconds)

    def highest(self, answer: int, values: tuple[int, ...]) -> float:
        """The probability of an answer, the highest that there is where some levels' values are open."""
        if (answer, values) not in self._highest:
            nodes = {self.likelihood.roots[answer]}
            for level, value in enumerate(values):
                every = range(self.diagram.sizes[level]) if value == OPEN else (value,)
                nodes = {self.diagram.follow(node, level, v) for node in nodes for v in every}
            self._highest[answer, values] = max(self.likelihood.value[node] for node in nodes)
        return self._highest[answer, values]

    def still_likely(self, row: Row, renaming: Map) -> bool:
        """Whether the renaming, perhaps of some symbols only yet, can leave a row as probable as it is."""
        return self.highest(row[0], self.renamed(row, renaming)) >= self.highest(*row) * (1 - SAME)

    def symbols_of(self, row: Row) -> list[Symbol]:
        """The symbols a row speaks of, one for each level."""
        return list(zip(self.networks, row[1], strict=True))

    def renamed(self, row: Row, renaming: Map) -> tuple[int, ...]:
        """A row's values under a renaming; open where it isn't decided."""
        return tuple(renaming.get(symbol, OPEN) for symbol in self.symbols_of(row))

    def counterexample(self, renaming: Map) -> Row | None:
        """An assignment that the renaming takes to a less probable one; None where there is none."""
        for answer, root in enumerate(self.likelihood.roots):
            path = self._escape(root, root, renaming, 0, set())
            if path is not None:
                return answer, tuple(path)
        return None

    def _escape(self, node: int, image: int, renaming: Map, level: int, safe: set[tuple[int, int]]) -> list[int] | None:
        """The values of a path from the node whose renaming leads from the image to a lower probability."""
        if node == FALSE or (node, image) in safe:
            return None
        if level == len(self.networks):
            return [] if self.likelihood.value[image] < self.likelihood.value[node] * (1 - SAME) else None
        for value, n in enumerate(self.solutions.ways[level]):
            if n:
                child = self.diagram.follow(node, level, value)
                target = self.diagram.follow(image, level, renaming[self.networks[level], value])
                path = self._escape(child, target, renaming, level + 1, safe)
                if path is not None:
                    return [value, *path]
        safe.add((node, image))
        return None


def _in_order(rows: Iterable[Row], symbols: Symbols, present: Iterable[Symbol]) -> list[Symbol]:
    """Symbols in an order that decides rows early: next the one that completes most rows, then that occurs in most."""
    left = dict.fromkeys(present)
    pending = [set(symbols.symbols_of(row)) for row in rows]
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
        symbols: the rule.
        rows: the support, or part of it; counterexamples that the search meets are added.
        kind: "total": any map; "bijective"; or "balanced": every variable's marginal stays as it is.
        alike: sets of interchangeable symbols; of maps that differ by a reordering within them one is found.
        deadline: when to give up; `exact` is False then.
        check_all: check a map against all assignments before it counts.
    """

    def __init__(
        self, symbols: Symbols, rows: list[Row], kind: str, alike: _Groups, deadline: float, check_all: bool
    ) -> None:
        self.symbols, self.rows, self.kind, self.alike, self.check_all = symbols, rows, kind, alike, check_all
        self.deadline, self.exact = deadline, True
        present = {symbol: None for row in rows for symbol in symbols.symbols_of(row)}
        if check_all:
            present = dict.fromkeys(symbols.present())
        self.order = _in_order(rows, symbols, present)
        self.touching: dict[Symbol, list[Row]] = {symbol: [] for symbol in self.order}
        for row in rows:
            self._attach(row)
        self.assigned: Map = {}
        self.mass = [[0.0] * len(marginal) for marginal in symbols.marginals]  # of each level's values under the map

    def _attach(self, row: Row) -> None:
        for symbol in set(self.symbols.symbols_of(row)):
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
        for target in range(least, len(self.symbols.domains[symbol[0]])):
            if time.monotonic() > self.deadline:
                self.exact = False
                return
            if self.kind == "bijective" and (symbol[0], target) in self._used():
                continue
            self._assign(symbol, target, 1)
            if self._balanced(symbol[0], target) and self._possible(symbol):
                yield from self.maps()
            self._assign(symbol, target, -1)

    def _counterexample(self) -> Row | None:
        return self.symbols.counterexample(self.assigned) if self.check_all else None

    def _used(self) -> set[Symbol]:
        return {(network, target) for (network, _), target in self.assigned.items()}

    def _assign(self, symbol: Symbol, target: int, sign: int) -> None:
        if sign > 0:
            self.assigned[symbol] = target
        else:
            del self.assigned[symbol]
        for level, marginal in enumerate(self.symbols.marginals):
            if self.symbols.networks[level] == symbol[0]:
                self.mass[level][target] += sign * marginal[symbol[1]]

    def _balanced(self, network: str, target: int) -> bool:
        if self.kind != "balanced":
            return True
        levels = zip(self.symbols.networks, self.mass, self.symbols.marginals, strict=True)
        return all(mass[target] <= share[target] + SAME for name, mass, share in levels if name == network)

    def _possible(self, symbol: Symbol) -> bool:
        return all(self.symbols.still_likely(row, self.assigned) for row in self.touching[symbol])


class _States:
    """What a row's names so far leave possible, as tables that fill up on the way: the search is array look-ups.

    A row's slots are its distinct clusters. A name is a number: a symbol of any network. State 0 can't hold any more.

    Args:
        symbols: the rule.
        names: all symbols.
        slots: the most slots that a row has.
    """

    def __init__(self, symbols: Symbols, names: Sequence[Symbol], slots: int) -> None:
        self.symbols, self.names = symbols, names
        self._keys: list[Any] = [None]
        self._numbers: dict[Any, int] = {}
        self.open = np.ones(1024)  # slots without a name
        self.highest = np.zeros(1024)  # probability of the row
        self.allowed = np.zeros((1024, slots, len(names)))  # the highest with this name in this slot
        self._next = np.full((1024, slots, len(names)), UNKNOWN)
        self._next[0] = 0

    def number(self, answer: int, slot_of_level: tuple[int, ...], names: tuple[int, ...]) -> int:
        """The state of a row with these names in its slots, OPEN where there is none yet."""
        key = (answer, slot_of_level, names)
        if key not in self._numbers:
            highest = self._highest(*key)
            self._numbers[key] = len(self._keys) if highest else 0
            if highest:
                self._add(key, highest)
        return self._numbers[key]

    def follow(self, states: np.ndarray, slots: np.ndarray, names: np.ndarray | int) -> np.ndarray:
        """The states once these slots have these names."""
        following = self._next[states, slots, names]
        for i in np.flatnonzero(following == UNKNOWN):
            slot, name = int(slots[i]), int(np.broadcast_to(names, states.shape)[i])
            answer, slot_of_level, before = self._keys[states[i]]
            following[i] = self.number(answer, slot_of_level, (*before[:slot], name, *before[slot + 1 :]))
            self._next[states[i], slot, name] = following[i]
        return following

    def _highest(self, answer: int, slot_of_level: tuple[int, ...], names: tuple[int, ...]) -> float:
        values = (OPEN if names[slot] == OPEN else self.names[names[slot]][1] for slot in slot_of_level)
        return self.symbols.highest(answer, tuple(values))

    def _add(self, key: Any, highest: float) -> None:
        number = len(self._keys)
        self._keys.append(key)
        if number == len(self.open):
            self.open = np.concatenate([self.open, np.ones_like(self.open)])
            self.highest = np.concatenate([self.highest, np.zeros_like(self.highest)])
            self.allowed = np.concatenate([self.allowed, np.zeros_like(self.allowed)])
            self._next = np.concatenate([self._next, np.full_like(self._next, UNKNOWN)])
        answer, slot_of_level, names = key
        self.open[number], self.highest[number] = names.count(OPEN), highest
        network_of = dict(zip(slot_of_level, self.symbols.networks, strict=True))
        for slot in (slot for slot, name in enumerate(names) if name == OPEN):
            for name, (network, _) in enumerate(self.names):
                with_name = (*names[:slot], name, *names[slot + 1 :])
                if network == network_of[slot]:
                    self.allowed[number, slot, name] = self._highest(answer, slot_of_level, with_name)


class _NameSearch:
    """The bijection under which most rows satisfy the rule, each by its probability, and the runner-up.

    Hill climbing from random namings finds good ones, branch and bound the best. The bound splits each row's weight
    evenly among its clusters that have no name yet; a part counts by the highest probability that a name leaves the
    row, and an assignment of names to clusters that earns most bounds what any bijection can reach.

    Args:
        symbols: the rule.
        rows: examples, as clusters, and how often each occurs.
    """

    def __init__(self, symbols: Symbols, rows: Counter[Row]) -> None:
        self.symbols = symbols
        self.weights = np.array(list(rows.values()), dtype=float)
        self.clusters = [(network, i) for network, domain in symbols.domains.items() for i in range(len(domain))]
        members = [list(dict.fromkeys(symbols.symbols_of(row))) for row in rows]  # of each row's slots
        slots = max(map(len, members))
        self.states = _States(symbols, self.clusters, slots)
        self.start = np.array([self._start(row, own) for row, own in zip(rows, members, strict=True)])
        slot_of = np.full((len(self.clusters), len(members)), OPEN)  # of each cluster in each row
        self.member = np.zeros((len(self.clusters), len(members) * slots))  # 1 where a cluster is a row's slot
        for row, own in enumerate(members):
            for slot, cluster in enumerate(own):
                slot_of[self.clusters.index(cluster), row] = slot
                self.member[self.clusters.index(cluster), row * slots + slot] = 1.0
        self.places = [(np.flatnonzero(of >= 0), of[of >= 0]) for of in slot_of]  # of each cluster: its rows, its slots
        foreign = [[a[0] != b[0] for b in self.clusters] for a in self.clusters]
        self.forbidden = np.where(foreign, -1e9, 0.0)  # names from another network
        self.best: list[tuple[float, tuple[int, ...]]] = []  # the two best: weight satisfied, each cluster's name
        self.exact = True

    def _start(self, row: Row, own: Sequence[Symbol]) -> int:
        slot_of_level = tuple(own.index(symbol) for symbol in self.symbols.symbols_of(row))
        return self.states.number(row[0], slot_of_level, (OPEN,) * len(own))

    def run(self, deadline: float) -> Alignment:
        """Search until done or out of time."""
        generator = np.random.default_rng(0)
        for _ in range(RESTARTS):
            self._climb(generator)
        self._branch([OPEN] * len(self.clusters), self.start, deadline)
        total, (score, names) = self.weights.sum(), self.best[0]
        runner_up = self.best[1][0] if len(self.best) > 1 else 0.0
        named: dict[str, tuple[int, ...]] = dict.fromkeys(self.symbols.domains, ())
        for (network, _), name in zip(self.clusters, names, strict=True):
            named[network] += (self.clusters[name][1],)
        return Alignment(named, float(score / total), float((score - runner_up) / total), self.exact)

    def _climb(self, generator: np.random.Generator) -> None:
        """From a random naming, swap names while that satisfies more."""
        order = generator.permutation(len(self.clusters))
        shuffled = sorted(order, key=lambda i: self.clusters[i][0])
        names = [OPEN] * len(self.clusters)
        for cluster, name in zip(sorted(range(len(names)), key=lambda i: self.clusters[i][0]), shuffled, strict=True):
            names[cluster] = int(name)
        score, better = self._consider(names), True
        while better:
            better = False
            for a, b in combinations(range(len(names)), 2):
                if self.clusters[a][0] == self.clusters[b][0]:
                    swapped = list(names)
                    swapped[a], swapped[b] = names[b], names[a]
                    if (new := self._consider(swapped)) > score:
                        names, score, better = swapped, new, True

    def _consider(self, names: Sequence[int]) -> float:
        """The weight satisfied under a complete naming, which is kept if it is one of the two best."""
        states = self.start
        for cluster, name in enumerate(names):
            states = self._after(states, cluster, name)
        score = float(self.weights @ self.states.highest[states])
        if score > self._threshold and all(tuple(names) != known for _, known in self.best):
            self.best = sorted([*self.best, (score, tuple(names))], key=lambda item: -item[0])[:2]
        return score

    @property
    def _threshold(self) -> float:
        """What a naming must exceed to be one of the two best."""
        return self.best[1][0] + 1e-9 if len(self.best) == 2 else -1.0

    def _after(self, states: np.ndarray, cluster: int, name: int) -> np.ndarray:
        """The rows' states once the cluster has its name."""
        rows, slots = self.places[cluster]
        after = states.copy()
        after[rows] = self.states.follow(states[rows], slots, name)
        return after

    def _branch(self, names: list[int], states: np.ndarray, deadline: float) -> None:
        """Try every completion of the names that may be one of the two best."""
        clusters = [c for c, name in enumerate(names) if name == OPEN]
        left = [name for name in range(len(names)) if name not in names]
        unnamed = self.states.open[states]
        done = (self.weights * self.states.highest[states])[unnamed == 0].sum()
        parts = self.states.allowed[states] * (self.weights / np.maximum(unnamed, 1))[:, None, None]
        block = np.ix_(clusters, left)
        gain = (self.member @ parts.reshape(self.member.shape[1], -1) + self.forbidden)[block]
        chosen = linear_sum_assignment(gain, maximize=True)
        completed = list(names)
        for c, i in zip(*chosen, strict=True):
            completed[clusters[c]] = left[i]
        highest = gain.max(1, initial=0.0)
        bound = done + gain[chosen].sum()
        bounds = np.minimum(bound, done + gain + (highest.sum() - highest)[:, None])
        if bound <= self._threshold:
            return
        self._consider(completed)
        if not (bounds > self._threshold).any():
            return
        c = int(np.lexsort((-highest, (bounds > self._threshold).sum(1)))[0])  # the cluster with fewest choices
        for i in np.argsort(-gain[c]):
            if bounds[c, i] > self._threshold:
                if time.monotonic() > deadline:
                    self.exact = False
                    return
                extended = [left[i] if cluster == clusters[c] else name for cluster, name in enumerate(names)]
                self._branch(extended, self._after(states, clusters[c], left[i]), deadline)
