"""The figures of a run on images in the terminal: clusters and features, then samples beside test images."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gedi_nesy.report.words import FIGURES, SECTIONS, TEST, Figure, written

WITHOUT_GEN = "Trained without L_GEN: the samples show what the classifier is sure of, not how the data is distributed."


def evaluation_table(figures: Mapping[str, Any]) -> Group:
    """What `vision evaluate` measured on images, beside chance level and what the paper reports."""
    clusters = _clusters(figures)
    parts: list[RenderableType] = [clusters, Text()] if clusters.rows else []
    if "samples_failed" in figures:
        return Group(*parts, Text(figures["samples_failed"]))
    if "samples" not in figures:
        return Group(*parts)
    return Group(*parts, _samples(figures), *([] if figures["trained_with_gen"] else [Text(WITHOUT_GEN)]))


def _clusters(figures: Mapping[str, Any]) -> Table:
    table = _table("test set", "", "chance", "paper")
    by_chance = {figure.chance for figure in SECTIONS[TEST].values()}  # which stand in a column of their own
    for key, figure in SECTIONS[TEST].items():
        if key in figures and key not in by_chance:
            values = (figures[key], figures.get(figure.chance), figures["published"].get(key))
            table.add_row(figure.title, *(_text(key, value) for value in values))
    return table


def _samples(figures: Mapping[str, Any]) -> Table:
    samples, test, published = figures["samples"], figures.get("test_images", {}), figures["published"]
    title = (
        f"{samples['images']:,} samples, {figures['sgld_steps']:,} SGLD steps, {figures['reference']:,} training images"
    )
    table = _table(title, "samples", f"{test['images']:,} test images" if test else "", "paper")
    for name in samples:
        if name != "images":
            key = f"samples.{name}"
            values = (samples[name], test.get(name), published.get(name))
            table.add_row(FIGURES.get(key, Figure(name)).title, *(_text(key, value) for value in values))
    return table


def _table(*titles: str) -> Table:
    table = Table(titles[0], box=None, padding=(0, 2, 0, 0))
    for title in titles[1:]:
        table.add_column(title, justify="right")
    return table


def _text(key: str, value: float | None) -> str:
    return "" if value is None else written(key, value)
