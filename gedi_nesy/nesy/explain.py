"""What a rule can teach, in plain words: whether it names the symbols, which it can't tell apart, and what to add."""

from collections.abc import Mapping, Sequence

from gedi_nesy.logic.concept_maps import ConceptMaps
from gedi_nesy.logic.ground import Value

FEW = 6  # symbols that are listed one by one


def explain(maps: ConceptMaps) -> list[str]:
    """Sentences for somebody who has never heard of concept maps."""
    if maps.total == 1:
        doubt = "as far as the search got; a larger --seconds may find another" if "total" in maps.bounds else ""
        return [f"The rule names its symbols: no other names fit all its solutions{', ' * bool(doubt)}{doubt}."]
    other = _example(maps)
    alone = "By itself the rule also holds for wrong names" + (f", for example with {other}." if other else ".")
    if maps.balanced == 1:
        settled = "no others were found within the budget" if "balanced" in maps.bounds else "then only the true fit"
        return [
            alone,
            f"So training also asks each symbol to occur as often as the rule's solutions have it: {settled}.",
            *_labels(maps),
        ]
    return [
        f"{alone} That each symbol must occur as often as in the rule's solutions does not settle it, either.",
        *_confused(maps),
        *_labels(maps),
    ]


def _labels(maps: ConceptMaps) -> list[str]:
    """Which labels would settle it, the fewest."""
    if not maps.labels:
        return []
    number = sum(map(len, maps.labels.values()))
    one = [f"{', '.join(map(str, symbols))} of {network}" for network, symbols in maps.labels.items()]
    least = "at least " * bool({"balanced", "bijective"} & set(maps.bounds))
    many = "one labelled image, of" if number == 1 else f"{least}{number} labelled images, one each of"
    return [f"{many.capitalize()} {_and(one)}, would settle it (--labels)."]


def _confused(maps: ConceptMaps) -> list[str]:
    """Which symbols stay open, and what would tell them apart."""
    known = " (there may be more)" if "balanced" in maps.bounds else ""
    groups = [(network, group) for network, of in maps.confused.items() for group in of]
    named = "; ".join(f"{network}: {_join(group)}" for network, group in groups)
    if not groups:
        return ["Ask with a larger --seconds which symbols it leaves open."]
    return [
        f"These it can't tell apart{known}: {named}. Images of the same symbol still come together, but which name a "
        "group gets is chance.",
        "To settle it, say something about them that is true of one only: a further condition in the rule, or a "
        "second query.",
    ]


def _example(maps: ConceptMaps) -> str:
    """Another reading of the symbols, in words; the balanced ones are the first."""
    if not maps.examples:
        return ""
    return " and ".join(filter(None, map(_renaming, maps.examples[0].values())))


def _renaming(names: Mapping[Value, Value]) -> str:
    """What a network would read as what: "0, 1 and 2 all read as 0", "1 read as 2, 2 read as 1"."""
    targets: dict[Value, list[Value]] = {}
    for symbol, target in names.items():
        targets.setdefault(target, []).append(symbol)
    changed = {target: symbols for target, symbols in targets.items() if symbols != [target]}
    parts = [f"{_join(symbols)} {'all ' * (len(symbols) > 2)}read as {target}" for target, symbols in changed.items()]
    return _shorten(parts)


def _join(symbols: Sequence[Value]) -> str:
    """ "1 and 2", or "0, 1, 2, ... and 9" where they are many."""
    texts = [str(symbol) for symbol in symbols]
    if len(texts) > FEW:
        texts = [*texts[:3], "...", texts[-1]]
    return _and(texts)


def _and(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))


def _shorten(parts: Sequence[str]) -> str:
    return ", ".join(parts if len(parts) <= FEW else [*parts[:3], "..."])
