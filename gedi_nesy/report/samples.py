"""Grids of images: samples, or images by symbol, one row for each predicted class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from gedi_nesy.report.figure import CELL, DPI, INK, MUTED, new_figure, save

COLUMNS = 16
GAP = 4  # pixels between images


def samples_png(
    path: Path,
    samples: Tensor,
    labels: Tensor | None = None,
    confidence: Tensor | None = None,
    classes: Sequence[str] | None = None,
) -> None:
    """A grid of images; with labels, one row a class, the most confident first, COLUMNS of them at most.

    Args:
        path: of the PNG.
        samples: float [N, C, H, W] in [0, 1], C 1 or 3.
        labels: the predicted classes, int64 [N]; without them the images fill the rows in their order.
        confidence: p(y|x) of the predicted class, [N].
        classes: the classes' names; by default "cluster 0" up to the highest label. Each has its row, if an empty one.

    Raises:
        ValueError: there are no samples.
    """
    if not len(samples):
        raise ValueError(f"no samples to draw in {path}")
    images = samples.detach().cpu().clamp(0, 1).permute(0, 2, 3, 1).numpy()  # [N, H, W, C]
    if labels is None:
        _draw(path, images, [list(range(i, min(i + COLUMNS, len(images)))) for i in range(0, len(images), COLUMNS)], [])
        return
    y = labels.cpu().numpy()
    p = np.zeros(len(y)) if confidence is None else confidence.detach().cpu().numpy()
    names = [f"cluster {k}" for k in range(int(y.max()) + 1)] if classes is None else list(classes)
    members = [sorted(np.flatnonzero(y == k).tolist(), key=lambda i: -p[i]) for k in range(len(names))]
    heads = []
    for name, row in zip(names, members, strict=True):
        sure = f", p = {p[row].mean():.2f}" if row and confidence is not None else ""
        heads.append((name, f"{len(row)} of {len(y)}{sure}"))
    _draw(path, images, [row[:COLUMNS] for row in members], heads)


def _draw(path: Path, images: np.ndarray, rows: list[list[int]], heads: list[tuple[str, str]]) -> None:
    mosaic = _mosaic(images, rows)
    left = max((24 + 12 * max(len(name), len(facts) * 5 / 6) for name, facts in heads), default=GAP)  # pixels
    height, width = mosaic.shape[0], mosaic.shape[1] + left
    figure = new_figure(width / DPI, height / DPI)
    figure.set_layout_engine("none")
    axes = figure.add_axes((left / width, 0, mosaic.shape[1] / width, 1))
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=1, interpolation="none", aspect="auto")
    axes.set_axis_off()
    for i, (name, facts) in enumerate(heads):
        middle = 1 - (i + 0.5) / len(rows)
        figure.text(12 / width, middle + 4 / height, name, fontsize=9, color=INK, va="bottom")
        figure.text(12 / width, middle - 2 / height, facts, fontsize=8, color=MUTED, va="top")
    save(figure, path)


def _mosaic(images: np.ndarray, rows: list[list[int]]) -> np.ndarray:
    """The images, enlarged by a whole number, at their places on a white sheet: [height, width, C]."""
    zoom = max(1, round(CELL / images.shape[1]))
    _, h, w, channels = images.shape
    h, w = h * zoom + GAP, w * zoom + GAP
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows) * h + GAP, columns * w + GAP, channels), 1.0, dtype=np.float32)
    for r, row in enumerate(rows):
        for c, index in enumerate(row):
            image = images[index].repeat(zoom, 0).repeat(zoom, 1)
            sheet[r * h + GAP : (r + 1) * h, c * w + GAP : (c + 1) * w] = image
    return sheet
