"""comparison.png: a figure against what the methods were trained on, every seed a dot, a line through the medians."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from gedi_nesy.report.comparison.tally import Comparison, Spread
from gedi_nesy.report.figure import INK, MUTED, new_figure, quiet, save

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")  # of Okabe and Ito's palette
MARKERS = "osD^vPX"
PAPERS: dict[str, Any] = {"marker": "_", "markersize": 13, "markeredgewidth": 1.8}  # how its values are drawn
WIDTH = 0.5  # of the strip that all the dots above one place share; places are 1 apart


def comparison_png(path: Path, comparison: Comparison, figure: str) -> None:
    """Draw one figure of every finished run.

    Args:
        path: of the PNG.
        comparison: whose runs; what they were trained on is the horizontal axis, evenly spaced.
        figure: one of the comparison's.

    Raises:
        ValueError: no run has the figure.
    """
    rows = [row for row in comparison.rows() if row[figure] is not None]
    if not rows:
        raise ValueError(f"nothing to draw in {path}: no run has the figure {figure!r}")
    places = list(dict.fromkeys(row[comparison.axis] for row in comparison.rows()))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    canvas = new_figure(1.6 + 1.8 * len(places) + 1.6, 3.6)
    axes = canvas.subplots()
    quiet(axes)
    for k, method in enumerate(methods):
        shift = WIDTH * ((k + 0.5) / len(methods) - 0.5)
        values = {places.index(p) + shift: _values(rows, method, comparison.axis, p, figure) for p in places}
        _draw_method(axes, k, method, {x: found for x, found in values.items() if found})
        _draw_published(axes, COLOURS[k % len(COLOURS)], _published(comparison, method, figure, places, shift))
    if any(figure in spreads for (method, _), spreads in comparison.published.items() if method in methods):
        axes.plot([], [], linestyle="", color=MUTED, label="the paper’s", **PAPERS)
    _label(axes, places, comparison, figure)
    columns = min(len(methods) + 1, 2 + len(places))
    canvas.legend(loc="outside lower left", frameon=False, fontsize=8, labelcolor=INK, ncols=columns)
    save(canvas, path)


def _values(rows: Sequence[Mapping[str, Any]], method: str, axis: str, place: int | str, figure: str) -> list[float]:
    return [row[figure] for row in rows if row["method"] == method and row[axis] == place]


def _draw_method(axes: Axes, k: int, method: str, values: Mapping[float, Sequence[float]]) -> None:
    colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
    x = [place for place, found in values.items() for _ in found]
    y = [value for found in values.values() for value in found]
    axes.plot(x, y, linestyle="", marker=marker, markersize=4.5, color=colour, alpha=0.55, markeredgewidth=0)
    medians = [statistics.median(found) for found in values.values()]
    axes.plot(list(values), medians, color=colour, linewidth=1.3, marker=marker, markersize=3, label=method)


def _published(
    comparison: Comparison, method: str, figure: str, places: Sequence[int | str], shift: float
) -> dict[float, Spread]:
    """What the paper reports of a method, by where it is drawn."""
    found = {k + shift: comparison.published.get((method, place), {}).get(figure) for k, place in enumerate(places)}
    return {x: spread for x, spread in found.items() if spread is not None}


def _draw_published(axes: Axes, colour: str, spreads: Mapping[float, Spread]) -> None:
    for x, spread in spreads.items():
        axes.errorbar(x, spread.centre, yerr=spread.std, color=colour, elinewidth=0.8, **PAPERS)


def _label(axes: Axes, places: Sequence[int | str], comparison: Comparison, figure: str) -> None:
    names = [f"{place:,}" if isinstance(place, int) else place for place in places]
    axes.set_xticks(range(len(places)), names)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.margins(y=0.06)
    axes.set_xlabel(comparison.axis, fontsize=8, color=MUTED)
    axes.set_title(f"{comparison.figures[figure]}\n", loc="left", fontsize=9.5, color=INK)
    facts = "each dot is a seed, the line joins the medians"
    axes.text(0, 1.03, facts, transform=axes.transAxes, fontsize=8, color=MUTED)
