"""Pictures of points in the plane: the clusters that a network sees, the density it has learned, both over training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from gedi_nesy.report.figure import INK, MUTED, new_figure, save

# of Okabe and Ito's palette, which the colour-blind can tell apart
CLUSTERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
DEPTH = 12.0  # nats below the highest density where a picture is white
WIDTH = 5.2  # inches of a panel
GAP = 6  # cells between two panels of training.png


@dataclass(frozen=True)
class Plane:
    """What a network says over a square of the plane.

    Attributes:
        title: of the panel.
        extent: (left, right, bottom, top) of the square, in the points' units.
        probabilities: p(y|x) at the cells, [rows from bottom to top, columns, clusters].
        log_density: at the cells, [rows, columns], in nats.
    """

    title: str
    extent: tuple[float, float, float, float]
    probabilities: np.ndarray
    log_density: np.ndarray


def clusters_png(path: Path, plane: Plane, points: np.ndarray) -> None:
    """The clusters as colours of the plane, with the points [n, 2] on it."""
    figure = new_figure(WIDTH, _height(plane))
    _draw_clusters(figure.subplots(), plane, points)
    save(figure, path)


def density_png(path: Path, plane: Plane, points: np.ndarray, samples: np.ndarray | None = None) -> None:
    """The log-density over the plane, with the points [n, 2] and beside it the model's own samples [m, 2], if any."""
    panels = 1 if samples is None else 2
    figure = new_figure(WIDTH * panels, _height(plane))
    axes = list(np.atleast_1d(figure.subplots(1, panels)))
    _draw_density(axes[0], plane, points)
    if samples is not None:
        _draw_density(axes[1], plane, samples)
        axes[1].set_title("the model's own samples", loc="left", fontsize=9.5, color=INK)
    save(figure, path)


def training_png(path: Path, planes: Sequence[Plane]) -> None:
    """Clusters above and densities below, one column for each moment of training."""
    height, width = planes[0].probabilities.shape[:2]
    clusters = [tint(plane) for plane in planes]
    densities = [colormaps["Blues"](_lightness(plane))[..., :3] for plane in planes]
    sheet = np.ones((2 * height + GAP, len(planes) * (width + GAP) - GAP, 3))
    for column, (above, below) in enumerate(zip(clusters, densities, strict=True)):
        left = column * (width + GAP)
        sheet[:height, left : left + width] = below  # the origin is at the bottom
        sheet[height + GAP :, left : left + width] = above
    figure = new_figure(1.6 * len(planes), 3.5)
    axes = figure.subplots()
    axes.imshow(sheet, origin="lower", interpolation="bilinear")
    axes.set_axis_off()
    for column, plane in enumerate(planes):
        axes.text(column * (width + GAP), len(sheet) + GAP, plane.title, fontsize=8, color=INK)
    save(figure, path)


def tint(plane: Plane) -> np.ndarray:
    """The clusters as colours, paler than the points' own black: [rows, columns, 3]."""
    palette = np.array([to_rgb(CLUSTERS[k % len(CLUSTERS)]) for k in range(plane.probabilities.shape[-1])])
    colours: np.ndarray = (1 - 0.55 * (1 - plane.probabilities @ palette)).clip(0, 1)
    return colours


def _lightness(plane: Plane) -> np.ndarray:
    """The log-density from 0, DEPTH nats below its highest, to 1: [rows, columns]."""
    lightness: np.ndarray = ((plane.log_density - plane.log_density.max()) / DEPTH + 1).clip(0, 1)
    return lightness


def _draw_clusters(axes: Axes, plane: Plane, points: np.ndarray) -> None:
    _frame(axes, plane)
    axes.imshow(tint(plane), origin="lower", extent=plane.extent, interpolation="bilinear")
    axes.scatter(points[:, 0], points[:, 1], s=2, color=INK, alpha=0.5, linewidths=0)


def _draw_density(axes: Axes, plane: Plane, points: np.ndarray) -> None:
    _frame(axes, plane)
    lightness = _lightness(plane)
    axes.imshow(lightness, origin="lower", extent=plane.extent, cmap="Blues", vmin=0, vmax=1, interpolation="bilinear")
    axes.scatter(points[:, 0], points[:, 1], s=2, color="#D55E00", alpha=0.5, linewidths=0)


def _height(plane: Plane) -> float:
    """Inches that a panel of WIDTH needs for its plane, its title and its numbers."""
    left, right, bottom, top = plane.extent
    return float(np.clip(WIDTH * (top - bottom) / (right - left), 1, 2 * WIDTH)) + 0.5


def _frame(axes: Axes, plane: Plane) -> None:
    axes.set_title(plane.title, loc="left", fontsize=9.5, color=INK)
    axes.set_aspect("equal")
    axes.tick_params(length=0, labelsize=7, colors=MUTED)
    axes.spines[:].set_visible(False)
    axes.set_xlim(plane.extent[:2])
    axes.set_ylim(plane.extent[2:])
