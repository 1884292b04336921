"""Which labels settle what a rule leaves open: the fewest symbols of which one labelled input each is enough."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

from gedi_nesy.logic.renaming import Map, Symbol

TRIED = 20_000  # sets of symbols; beyond, symbols are added one after the other, and may not be the fewest

Group = tuple[Symbol, ...]


def fewest_labels(maps: Sequence[Map], alike: Collection[Collection[Symbol]]) -> list[Symbol]:
    """The fewest symbols whose labels rule out all concept maps but the identity.

    A label of a symbol rules out the maps that rename it. The symbols of a set that a rule can't tell apart all need
    one, except for the last.

    Args:
        maps: concept maps, the identity or not; of those that differ by a reordering within the sets one is enough.
        alike: disjoint sets of symbols of which any reordering is a concept map.

    Returns:
        The symbols, in their order; none where there is no map but the identity.
    """
    symbols = sorted({symbol for found in maps for symbol in found} | {symbol for group in alike for symbol in group})
    apart = {symbol: (symbol,) for symbol in symbols} | {s: tuple(sorted(group)) for group in alike for s in group}
    groups = list(dict.fromkeys(apart[symbol] for symbol in symbols))
    needed = [symbol for group in groups for symbol in group[:-1]]
    left = [symbol for symbol in symbols if symbol not in needed]
    for more in _growing(left):
        if not any(_escapes(found, {*needed, *more}, groups) for found in maps):
            return sorted([*needed, *more])
    return _greedy(maps, needed, left, groups)


def _growing(symbols: Sequence[Symbol]) -> Iterator[tuple[Symbol, ...]]:
    """Sets of these symbols, the small ones first, TRIED at most."""
    tried = 0
    for size in range(len(symbols) + 1):
        for some in combinations(symbols, size):
            if tried == TRIED:
                return
            tried += 1
            yield some


def _greedy(
    maps: Sequence[Map], needed: Sequence[Symbol], left: Sequence[Symbol], groups: Sequence[Group]
) -> list[Symbol]:
    """Labels that rule out all maps, each chosen as the one that rules out most of those that are left."""
    chosen, candidates = list(needed), list(left)
    while open_maps := [found for found in maps if _escapes(found, set(chosen), groups)]:
        best = max(candidates, key=lambda symbol: sum(found.get(symbol, symbol[1]) != symbol[1] for found in open_maps))
        candidates.remove(best)
        chosen.append(best)
    return sorted(chosen)


def _escapes(found: Mapping[Symbol, int], labelled: set[Symbol], groups: Sequence[Group]) -> bool:
    """Whether this map, or a reordering of it within the groups, keeps all labelled symbols and is not the identity."""
    changes = False
    for group in groups:
        targets = Counter(found.get(symbol, symbol[1]) for symbol in group)
        kept = Counter(symbol[1] for symbol in group if symbol in labelled)
        if kept - targets:
            return False
        free = Counter(symbol[1] for symbol in group if symbol not in labelled)
        changes |= free.total() > 1 or targets - kept != free
    return changes
