"""The certificate: what a finished run can say about itself without labels."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from gedi_nesy.core.energy_check import EnergyCheck
from gedi_nesy.core.objective import Diagnosis
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.labels import Labels
from gedi_nesy.nesy.matching import Matched
from gedi_nesy.nesy.queries import Rule, parts_of
from gedi_nesy.nesy.recipe import Recipe
from gedi_nesy.nesy.select import Selection
from gedi_nesy.nesy.support import Support

# Nats by which a network must fit the rule better than one that learned other symbols, nearly as good by likeness.
LEAD = 0.1
SECONDS = 3.0  # for the search for a second reading of the rule


def certificate(
    diagnoses: Mapping[str, Diagnosis],
    matched: Matched | None,
    selection: Selection | None,
    readings: int | None,
    energies: Mapping[str, EnergyCheck],
    seen: int | None = 1,
    separation: float = 0.0,
    rare: Sequence[str] = (),
    named: bool = False,
) -> dict[str, Any]:
    """The triad diagnosis of each network, and whether the search for symbols had one clear result, and could have one.

    The diagnosis rules out the three failure modes (paper, Proposition 1) but can't see symbols that are clean and
    swapped. Restarts from other starting points can, because trapped ones are trapped elsewhere; where all learn from
    matched symbols, the margin by which these symbols lead all others can, or else the lead of the network that learned
    them over one that learned the best others. Neither sees what the rule leaves open, and there restarts may agree by
    luck. So a run is certified only when the diagnosis names nothing, the rule has a
    single reading, and matching had a clear result or, without matching, another restart agrees with the chosen one.
    Examples may hold so few of the rule's solutions that these leave a second reading (`readings_seen`); then only a
    lead in matching will do: a network of the other reading fits the rule as well, and one that does not was trained
    badly. `failures` names the reasons for doubt. A single restart is neither a reason for
    doubt nor evidence. Where L_GEN was on, energies that don't model the images (`core.energy_check`) are a reason, and
    so are matched symbols that likeness separates by less than `separation`, symbols that only labels tell apart, and
    hardly, and symbols that are so `rare` in skewed data that others may have been read for them. Where names are
    `named` by labels alone, and nothing was matched, nothing measures how clearly they are.
    """
    failures = sorted({failure for diagnosis in diagnoses.values() for failure in diagnosis.failures})
    failures += sorted({failure for check in energies.values() for failure in check.failures})
    if readings is None:
        failures.append("readings of the rule not settled")
    elif readings > 1:
        failures.append("symbols that the rule can't tell apart")
    elif seen is None and not _leads(matched, selection):
        failures.append("readings of the examples not settled")
    elif seen not in (None, 1) and not (matched and matched.leads):
        failures.append("symbols that the examples can't tell apart")
    if matched and matched.hardly_told:
        failures.append(f"labels that hardly tell {' from '.join(matched.hardly_told)}")
    if named and not matched:
        failures.append("symbols that only labels tell apart, and no likeness measures how well")
    if rare:
        failures.append(f"symbols that hardly occur: {', '.join(rare)}")
    support = selection.support if selection else None
    failures += _unclear(matched, selection)
    if matched and matched.separation is not None and max(matched.separation, 0.0) < separation:
        failures.append(f"{matched.likeness} that hardly separate the symbols")
    return {
        "certified": not failures and bool(matched or support is not None),
        "failures": failures,
        "restart_agreement": support,
        "matching_margin": matched.margin if matched else None,
        "rival_lead": selection.lead if matched and selection else None,
        "readings_seen": seen,
        "D": max(diagnosis.certificate for diagnosis in diagnoses.values()),
        "networks": {name: asdict(diagnosis) for name, diagnosis in diagnoses.items()},
        **_worst(energies),
    }


def _worst(energies: Mapping[str, EnergyCheck]) -> dict[str, Any]:
    """The check of all networks whose energy was trained, and of each."""
    if not energies:
        return {}
    checks = energies.values()
    return {
        "energy_gap": max((check.gap for check in checks), key=abs),
        "sample_variety": min(check.variety for check in checks),
        "missing_symbols": max(check.missing for check in checks),
        "sample_distance": max(check.distance for check in checks),
        "energies": {name: asdict(check) for name, check in energies.items()},
    }


def _leads(matched: Matched | None, selection: Selection | None) -> bool:
    """Whether the symbols that matching found are clearly better than all others."""
    if matched is None:
        return False
    return matched.leads or (selection is not None and (selection.lead or 0.0) >= LEAD)


def _unclear(matched: Matched | None, selection: Selection | None) -> list[str]:
    """What speaks against the symbols that the search chose."""
    if matched and matched.margin is None:
        return ["matching found no alternative to compare with"]
    if matched and matched.margin is not None:
        return [] if _leads(matched, selection) else [f"no clear lead of the symbols found by {matched.likeness}"]
    if selection is None or selection.support is None:
        return []
    return [] if selection.agreed else ["restarts that disagree"]


def over_queries(rule: Rule, counts: Sequence[int | None]) -> int | None:
    """How many readings several queries leave open, at most, from the number that each leaves; None where unknown.

    What a query leaves open is settled where another one settles it: each network has as many readings as the query
    that knows most of it.
    """
    known = [(part, count) for part, count in zip(parts_of(rule), counts, strict=True) if count is not None]
    product = 1
    networks = {call.network for call in rule.variables}
    for network in networks:
        own = [count for part, count in known if network in {call.network for call in part.variables}]
        if not own:
            return None
        product *= min(own)
    whole = [count for part, count in known if networks == {call.network for call in part.variables}]
    return min([product, *whole])


def readings(constraint: Constraint, recipe: Recipe, labels: Labels = MappingProxyType({})) -> int | None:
    """In how many ways symbols can be renamed such that the rule holds and the first stage is content; 1 is the best.

    Where the search does not end in time it is the number known so far, and None if that leaves open whether there is
    a second one.
    """
    if all(call.network in labels and labels[call.network].covers for call in constraint.variables):
        return 1  # labels name the symbols
    maps = constraint.diagnose(seconds=SECONDS)
    kind = "balanced" if recipe.train.prior == "rule" else "bijective"
    if recipe.matching:
        kind = "bijective"  # unlike images resist sharing a symbol
    elif recipe.train.weights.prior.is_zero:
        kind = "total"
    count: int = getattr(maps, kind)
    return None if count == 1 and kind in maps.bounds else count


def named_by_labels(constraint: Constraint, recipe: Recipe, labels: Labels) -> bool:
    """Whether the rule leaves several readings open, of which labels say the one that is meant."""
    return bool(labels) and readings(constraint, recipe) != readings(constraint, recipe, labels) == 1


def readings_seen(constraint: Constraint, support: Support | None, labels: Labels = MappingProxyType({})) -> int | None:
    """In how many ways symbols can be renamed one to one such that the rule holds for what a run sees in its examples.

    A symbol with a label keeps its name. Where the search does not end in time the number is the one so far, and None
    if that leaves open whether there is a second one, or if the run sees nothing for sure.
    """
    if support is None:
        return None
    known = {network: labelled.symbols.unique().tolist() for network, labelled in labels.items()}
    maps = constraint.diagnose(support, known=known, seconds=SECONDS)
    return None if maps.bijective == 1 and "bijective" in maps.bounds else maps.bijective
