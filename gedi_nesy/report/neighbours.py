"""neighbours.png: samples of an energy model above the training images that are nearest to them."""

from pathlib import Path

import numpy as np
from torch import Tensor

from gedi_nesy.report.figure import INK, MUTED, enlarged, new_sheet, save

COLUMNS, ROWS = 10, 2  # of pairs
LEFT, GAP, FOOT = 84, 6, 34  # pixels of the words at the left, between images, and below a pair


def neighbours_png(path: Path, samples: Tensor, nearest: Tensor, distances: Tensor) -> None:
    """Pairs from the nearest to the farthest, at even steps of their order, each with its distance.

    Args:
        path: of the PNG.
        samples: float [n, C, H, W] in [0, 1], C 1 or 3.
        nearest: the training image nearest to each, of the same shape.
        distances: Euclidean, between the two of each pair, [n].

    Raises:
        ValueError: there are no samples.
    """
    if not len(samples):
        raise ValueError(f"no samples to draw in {path}")
    shown = min(len(samples), COLUMNS * ROWS)
    order = distances.argsort()[np.linspace(0, len(samples) - 1, shown).round().astype(int)].tolist()
    height, width = enlarged(samples[0]).shape[:2]
    pair = 2 * height + GAP + FOOT
    figure, axes = new_sheet(LEFT + min(shown, COLUMNS) * (width + GAP), -(-shown // COLUMNS) * pair + GAP)
    for row in range(-(-shown // COLUMNS)):
        for words, line in (("sample", 0), ("nearest", 1)):
            middle = GAP + row * pair + line * (height + GAP) + height / 2
            axes.text(2 * GAP, middle, words, fontsize=7, color=INK, va="center")
    for k, i in enumerate(order):
        row, column = divmod(k, COLUMNS)
        x, y = LEFT + column * (width + GAP), GAP + row * pair
        for image, top in ((samples[i], y), (nearest[i], y + height + GAP)):
            axes.imshow(enlarged(image), extent=(x, x + width, top + height, top), interpolation="none")
        below = y + 2 * height + 2 * GAP
        axes.text(x + width / 2, below, f"{distances[i]:.1f}", fontsize=6, color=MUTED, va="top", ha="center")
    save(figure, path)
