"""losses.png: each term of the objective over the steps, beside the value that it has at its optimum."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gedi_nesy.core.terms import TERMS, Term
from gedi_nesy.report.figure import BLUE, FAINT, INK, MUTED, ORANGE, new_figure, quiet, save

OTHER = Term("")  # of a run from another version
SMOOTHED = 100  # rows from which on the line drawn strong is a running mean, and the values are drawn faint
LINE = 56  # characters of a panel's width, at most
SHARE = 40  # the running mean is over 1/SHARE of the rows, the end too

Curve = list[tuple[int, Mapping[str, Any]]]  # (step since the run began, row of metrics.jsonl)


def losses_png(path: Path, history: Sequence[Mapping[str, Any]], optima: Mapping[str, float]) -> None:
    """One panel a term: its value, unweighted, over the training steps, and its known optimum dashed.

    Args:
        path: of the PNG.
        history: rows of metrics.jsonl, {"step": 10, "loss": {"gen": .1, ...}, "weight": {"gen": 1, ...}, ...};
            a row need not have every term. "weight" may be left out, and so may "stage": where its value changes,
            "step" starts anew, and the next stage is drawn after the one before.
        optima: the known optimum of each term that has one.

    Raises:
        ValueError: no row has a loss.
    """
    stages = split_stages(history)
    terms = list(dict.fromkeys(term for row in history for term in row["loss"]))
    if not terms:
        raise ValueError(f"no losses to draw in {path}: none of the {len(history)} rows of the history has one")
    columns = min(2, len(terms))
    rows = -(-len(terms) // columns)
    figure = new_figure(4.3 * columns, 2.6 * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, term in zip(panels, terms, strict=False):
        _draw_term(axes, term, stages, optima.get(term))
    for axes in panels[len(terms) :]:
        axes.set_axis_off()
    save(figure, path)


def split_stages(history: Sequence[Mapping[str, Any]]) -> dict[str, Curve]:
    """The rows of each stage, with steps counted on from the stages before."""
    stages: dict[str, Curve] = {}
    start = 0
    for stage, rows in groupby(history, key=lambda row: str(row.get("stage", ""))):
        curve = [(start + row["step"], row) for row in rows]
        stages.setdefault(stage, []).extend(curve)
        start = curve[-1][0]
    return stages


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """The mean over `window` neighbours around each value, fewer at the ends; [n] -> [n]."""
    ones = np.ones(min(window, len(values)))
    return np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same")


def _draw_term(axes: Axes, term: str, stages: Mapping[str, Curve], optimum: float | None) -> None:
    quiet(axes)
    having = {stage: [(step, row) for step, row in curve if term in row["loss"]] for stage, curve in stages.items()}
    for place, (stage, curve) in enumerate(having.items()):
        if curve:
            _draw_curve(
                axes,
                np.array([step for step, _ in curve]),
                np.array([row["loss"][term] for _, row in curve], dtype=float),
            )
        if len(stages) > 1:
            _mark_stage(axes, stage, stages[stage][0][0], place)
    if optimum is not None:
        axes.axhline(optimum, color=ORANGE, linewidth=1.2, dashes=(4, 3))
    facts = _in_lines(_facts(term, having, optimum))
    title = f"L_{term.upper()}   {TERMS.get(term, OTHER).meaning}" + "\n" * len(facts)
    axes.set_title(title, loc="left", fontsize=9.5, color=INK)
    axes.text(0, 1.03, "\n".join(facts), transform=axes.transAxes, fontsize=8, color=MUTED)
    steps = [step for curve in stages.values() for step, _ in curve]
    _label(axes, steps[0], steps[-1], TERMS.get(term, OTHER).unit)


def _label(axes: Axes, first: int, last: int, unit: str) -> None:
    margin = max(0.01 * (last - first), 0.5)  # around a single step, too, no other whole number
    axes.set_xlim(first - margin, last + margin)
    axes.margins(y=0.08)
    axes.set_xlabel("training step", fontsize=8, color=MUTED)
    axes.set_ylabel(unit, fontsize=8, color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _mark_stage(axes: Axes, stage: str, start: int, place: int) -> None:
    """A line where a stage begins; the names take turns in two rows, for a stage may be short."""
    axes.axvline(start, color=FAINT, linewidth=0.8)
    where = axes.get_xaxis_transform()
    axes.text(start, 0.97 - 0.08 * (place % 2), f" {stage}", transform=where, fontsize=8, color=MUTED, va="top")


def _draw_curve(axes: Axes, steps: np.ndarray, values: np.ndarray) -> None:
    if len(values) < SMOOTHED:
        axes.plot(steps, values, color=BLUE, linewidth=1.4, marker="." if len(values) < 20 else "")
    else:
        finite = np.isfinite(values)
        axes.plot(steps, values, color=BLUE, alpha=0.25, linewidth=0.6)
        axes.plot(steps[finite], running_mean(values[finite], len(values) // SHARE), color=BLUE, linewidth=1.4)


def _facts(term: str, stages: Mapping[str, Curve], optimum: float | None) -> list[str]:
    rows = [(step, row) for curve in stages.values() for step, row in curve]
    values = [float(row["loss"][term]) for _, row in rows]
    spans = [_span([row["weight"][term] for _, row in curve if "weight" in row]) for curve in stages.values()]
    weights = " | ".join(dict.fromkeys(span for span in spans if span))
    broken = [
        f"{value} at step {step:,}" for (step, _), value in zip(rows, values, strict=True) if not np.isfinite(value)
    ]
    facts = [f"weight {weights}"] if weights else []
    facts += broken[:1] or [f"end {np.mean(values[-max(1, len(values) // SHARE) :]):.3f}"]
    facts += [] if optimum is None else [f"optimum {optimum:.3f} (dashed)"]
    return facts


def _in_lines(facts: Sequence[str]) -> list[str]:
    """As many facts in each line as the width of a panel takes."""
    lines = list(facts[:1])
    for fact in facts[1:]:
        joined = f"{lines[-1]}   {fact}"
        lines[-1:] = [joined] if len(joined) <= LINE else [lines[-1], fact]
    return lines


def _span(weights: list[float]) -> str:
    return " → ".join(dict.fromkeys(f"{weight:.3g}" for weight in (*weights[:1], *weights[-1:])))
