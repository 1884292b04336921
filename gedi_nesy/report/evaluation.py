"""The figures of a run on images in the terminal: clusters and features, then samples beside test images."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

# of `vision.evaluate`: figure, its chance level if it has one, what it is called
CLUSTERS = (
    ("nmi", None, "NMI"),
    ("ami", None, "AMI"),
    ("cluster_accuracy", None, "Hungarian accuracy"),
    ("nmi_batch64", "nmi_batch64_chance", "Mean NMI of batches of 64"),
    ("linear_probe", None, "Linear probe"),
    ("knn", None, "Nearest neighbours"),
)


WITHOUT_GEN = "Trained without L_GEN: samples show what the classifier is sure of, not how the data is distributed."


def evaluation_table(figures: Mapping[str, Any]) -> Group:
    """What `vision evaluate` found on images, beside chance level and what the paper reports."""
    published = figures["published"]
    table = _table("test set", "", "chance", "paper")
    for key, chance, label in CLUSTERS:
        if key in figures:
            table.add_row(label, _show(figures[key]), _show(figures.get(chance or "")), _show(published.get(key)))
    parts: list[RenderableType] = [table, Text()] if table.rows else []
    if "samples_failed" in figures:
        return Group(*parts, Text(figures["samples_failed"]))
    if "samples" not in figures:
        return Group(*parts)
    samples, test = figures["samples"], figures.get("test_images", {})
    title = (
        f"{samples['images']:,} samples, {figures['sgld_steps']:,} SGLD steps, {figures['reference']:,} training images"
    )
    drawn = _table(title, "samples", f"{test['images']:,} test images" if test else "", "paper")
    for key in samples:
        if key != "images":
            label = key if key.isupper() or "(" in key else key.capitalize()
            drawn.add_row(label, _show(samples[key]), _show(test.get(key)), _show(published.get(key)))
    return Group(*parts, drawn, *([] if figures["trained_with_gen"] else [Text(WITHOUT_GEN)]))


def _table(*titles: str) -> Table:
    table = Table(titles[0], box=None, padding=(0, 2, 0, 0))
    for title in titles[1:]:
        table.add_column(title, justify="right")
    return table


def _show(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"
