"""What a run came to, in sentences: first what it says about itself without labels, then what labels say."""

from collections.abc import Callable, Mapping
from typing import Any

from gedi_nesy.report.words import show

Rows = Mapping[str, Any]  # summary.json by dotted name


def verdict(rows: Rows) -> list[str]:
    """The sentences that a report begins with; none for a summary that has neither certificate nor figures."""
    return [sentence for sentence in (_certificate(rows), _samples(rows), _labels(rows), _table(rows)) if sentence]


def _certificate(rows: Rows) -> str:
    given, failures = rows.get("certificate.certified"), rows.get("certificate.failures")
    if given is None:
        return ""
    if not given:
        doubts = show(failures) if failures else "nothing confirms its search for symbols or clusters"
        return f"The certificate is withheld: {doubts}. Look at the pictures before you trust this run."
    certainty = _where(rows, "certificate.D", " (D = {:.3f} nats, 0 at best)")
    lead = _where(rows, "certificate.matching_margin", ", and the symbols found by matching lead all others by {:.1%}")
    lead += _where(rows, "certificate.rival_lead", "; a network that learned others fits the rule {:.2f} nats worse")
    lead = lead or _where(rows, "certificate.restart_agreement", ", and its restarts agree on {:.1%} of the examples")
    return (
        "The certificate is given: seen without a label, nothing speaks against this run. Its predictions are certain, "
        f"balanced and consistent{certainty}{lead}."
    )


def _samples(rows: Rows) -> str:
    gap = _where(rows, "certificate.energy_gap", "Samples of the energy model are {:.1f} nats from the images", abs)
    distance = _where(rows, "certificate.sample_distance", ", and {:.2f} times as far from them as images from another")
    return gap and f"{gap}{distance}."


def _labels(rows: Rows) -> str:
    accuracy = _where(rows, "accuracy", "{:.2%} of the test images get their true symbol")
    accuracy = accuracy or _where(rows, "cluster_accuracy", "{:.2%} of the test examples are in their class's cluster")
    rule = _where(rows, "constraint_satisfaction", "the symbols of {:.2%} of the test examples satisfy the rule")
    parts = [part for part in (accuracy, rule) if part]
    return f"Labels, which training never saw, say: {', and '.join(parts)}." if parts else ""


def _table(rows: Rows) -> str:
    satisfied = _where(rows, "train_constraint_satisfaction", "The symbols of {:.2%} of the rows satisfy the rule")
    return satisfied and satisfied + _where(rows, "break_the_rule", "; {:,} of the rows break it") + "."


def _where(rows: Rows, key: str, sentence: str, change: Callable[[Any], Any] = lambda value: value) -> str:
    """The sentence with this figure in it; empty where there is no such number."""
    value = rows.get(key)
    return sentence.format(change(value)) if isinstance(value, int | float) else ""
