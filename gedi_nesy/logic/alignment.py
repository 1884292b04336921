"""Names clusters by the bijection from clusters to symbols under which the rule is most probable."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from gedi_nesy.logic.renaming import OPEN, Renamings, Symbol
from gedi_nesy.logic.solutions import Row

RESTARTS = 20  # of the hill climbing
UNKNOWN = -1


@dataclass(frozen=True)
class Alignment:
    """The names of clusters under which the rule is most probable.

    Attributes:
        symbols: for each network the index into its domain that each cluster stands for.
        satisfied: the share of the examples that satisfy the rule under these names, each counted by its probability.
        margin: by how much `satisfied` exceeds the share of the best other naming.
        exact: False where the budget ended the search.
    """

    symbols: dict[str, tuple[int, ...]]
    satisfied: float
    margin: float
    exact: bool


def align(renamings: Renamings, rows: Sequence[Row], seconds: float) -> Alignment:
    """Name clusters so that the rule is most probable, by branch and bound over bijections.

    Args:
        renamings: the rule's.
        rows: for each example its arguments and, at each neural level, its image's cluster.
        seconds: the budget.
    """
    return _NameSearch(renamings, Counter(rows)).run(time.process_time() + seconds)


class _States:
    """What a row's names so far leave possible, as tables that fill up on the way: the search is array look-ups.

    A row's slots are its distinct clusters. A name is a number: a symbol of any network. State 0 can't hold any more.

    Args:
        renamings: the rule's.
        names: all symbols.
        slots: the most slots that a row has.
    """

    def __init__(self, renamings: Renamings, names: Sequence[Symbol], slots: int) -> None:
        self.renamings, self.names = renamings, names
        self._keys: list[Any] = [None]
        self._numbers: dict[Any, int] = {}
        self.open = np.ones(1024)  # slots without a name
        self.highest = np.zeros(1024)  # probability of the row
        self.allowed = np.zeros((1024, slots, len(names)))  # the highest with this name in this slot
        self._next = np.full((1024, slots, len(names)), UNKNOWN)
        self._next[0] = 0

    def number(self, arguments: tuple[int, ...], slot_of_level: tuple[int, ...], names: tuple[int, ...]) -> int:
        """The state of a row with these names in its slots, OPEN where there is none yet."""
        key = (arguments, slot_of_level, names)
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
            arguments, slot_of_level, before = self._keys[states[i]]
            following[i] = self.number(arguments, slot_of_level, (*before[:slot], name, *before[slot + 1 :]))
            self._next[states[i], slot, name] = following[i]
        return following

    def _highest(self, arguments: tuple[int, ...], slot_of_level: tuple[int, ...], names: tuple[int, ...]) -> float:
        values = (OPEN if names[slot] == OPEN else self.names[names[slot]][1] for slot in slot_of_level)
        return self.renamings.highest(arguments, tuple(values))

    def _add(self, key: Any, highest: float) -> None:
        number = len(self._keys)
        self._keys.append(key)
        if number == len(self.open):
            self.open = np.concatenate([self.open, np.ones_like(self.open)])
            self.highest = np.concatenate([self.highest, np.zeros_like(self.highest)])
            self.allowed = np.concatenate([self.allowed, np.zeros_like(self.allowed)])
            self._next = np.concatenate([self._next, np.full_like(self._next, UNKNOWN)])
        arguments, slot_of_level, names = key
        self.open[number], self.highest[number] = names.count(OPEN), highest
        network_of = dict(zip(slot_of_level, self.renamings.networks, strict=True))
        for slot in (slot for slot, name in enumerate(names) if name == OPEN):
            for name, (network, _) in enumerate(self.names):
                with_name = (*names[:slot], name, *names[slot + 1 :])
                if network == network_of[slot]:
                    self.allowed[number, slot, name] = self._highest(arguments, slot_of_level, with_name)


class _NameSearch:
    """The bijection under which most rows satisfy the rule, each by its probability, and the runner-up.

    Hill climbing from random namings finds good ones, branch and bound the best. The bound splits each row's weight
    evenly among its clusters that have no name yet; a part counts by the highest probability that a name leaves the
    row, and an assignment of names to clusters that earns most bounds what any bijection can reach.

    Args:
        renamings: the rule's.
        rows: examples, as clusters, and how often each occurs.
    """

    def __init__(self, renamings: Renamings, rows: Counter[Row]) -> None:
        self.renamings = renamings
        self.weights = np.array(list(rows.values()), dtype=float)
        self.clusters = [(network, i) for network, domain in renamings.domains.items() for i in range(len(domain))]
        members = [list(dict.fromkeys(renamings.symbols_of(row))) for row in rows]  # of each row's slots
        slots = max(map(len, members))
        self.states = _States(renamings, self.clusters, slots)
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
        slot_of_level = tuple(own.index(symbol) for symbol in self.renamings.symbols_of(row))
        return self.states.number(row[0], slot_of_level, (OPEN,) * len(own))

    def run(self, deadline: float) -> Alignment:
        """Search until done or out of time."""
        generator = np.random.default_rng(0)
        for _ in range(RESTARTS):
            self._climb(generator)
        self._branch([OPEN] * len(self.clusters), self.start, deadline)
        total, (score, names) = self.weights.sum(), self.best[0]
        runner_up = self.best[1][0] if len(self.best) > 1 else 0.0
        named: dict[str, tuple[int, ...]] = dict.fromkeys(self.renamings.domains, ())
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
        from scipy.optimize import linear_sum_assignment  # here, as its import takes a third of a second

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
                if time.process_time() > deadline:
                    self.exact = False
                    return
                extended = [left[i] if cluster == clusters[c] else name for cluster, name in enumerate(names)]
                self._branch(extended, self._after(states, clusters[c], left[i]), deadline)
