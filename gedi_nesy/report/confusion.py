"""confusion.png: how many test images of each class were taken for which."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from torch import Tensor

from gedi_nesy.report.figure import INK, MUTED, new_figure, save

MANY = 20  # classes beyond which a cell is too small for its number


def confusion_png(path: Path, matrix: Tensor, classes: Sequence[str]) -> None:
    """A confusion matrix: rows are true classes, columns predicted ones, cells counts, colours shares of the row.

    Args:
        path: of the PNG.
        matrix: counts [K, K], true class first.
        classes: the K classes' names.

    Raises:
        ValueError: the matrix and the classes don't fit together.
    """
    counts = matrix.detach().cpu().numpy()
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(
            f"a confusion matrix of {len(classes)} classes is not {list(counts.shape)}: give [K, K] counts"
        )
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(3.2 + 0.42 * len(classes), 10)
    figure = new_figure(side + 0.7, side)
    axes = figure.subplots()
    # the square root lets a mistake that happens once in a hundred be seen
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    if len(classes) <= MANY:
        _write_counts(axes, counts, shares)
        axes.hlines(np.arange(len(classes) - 1) + 0.5, -0.5, len(classes) - 0.5, color="white", linewidth=1)
        axes.vlines(np.arange(len(classes) - 1) + 0.5, -0.5, len(classes) - 0.5, color="white", linewidth=1)
    _label(axes, classes)
    right, total = int(counts.trace()), int(counts.sum())
    axes.set_title(f"{right:,} of {total:,} right ({right / max(total, 1):.2%})", loc="left", fontsize=11, color=INK)
    bar = figure.colorbar(image, shrink=0.6, aspect=30, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1], format="{x:.0%}")
    bar.set_label("share of the true class", fontsize=8, color=MUTED)
    bar.ax.tick_params(labelsize=8, colors=MUTED, length=0)
    bar.outline.set_visible(False)
    save(figure, path)


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.3 else INK
        number = f"{int(counts[row, column])}"
        axes.text(column, row, number, ha="center", va="center", fontsize=8, color=colour)


def _label(axes: Axes, classes: Sequence[str]) -> None:
    size = 9 if len(classes) <= MANY else 500 / len(classes)
    turn = 90 if max(map(len, classes)) > 3 else 0
    axes.set_xticks(range(len(classes)), classes, rotation=turn, fontsize=size)
    axes.set_yticks(range(len(classes)), classes, fontsize=size)
    axes.set_xlabel("predicted class", fontsize=9, color=MUTED)
    axes.set_ylabel("true class", fontsize=9, color=MUTED)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
