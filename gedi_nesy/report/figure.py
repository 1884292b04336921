"""What our figures have in common: Agg without global state, quiet axes, colours the colour-blind can tell apart."""

import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from gedi_nesy.files import write_atomically

BLUE, ORANGE = "#0072B2", "#D55E00"  # of Okabe and Ito's palette
OTHERS = "#009E73", "#CC79A7", "#E69F00"  # of the same
INK, MUTED, FAINT = "#1f2328", "#59636e", "#d5d9de"
DPI = 150
CELL = 64  # pixels that an image's height is enlarged to, about


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of that size in inches, drawn by Agg."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_sheet(width: int, height: int) -> tuple[Figure, Axes]:
    """A white sheet of so many pixels, (0, 0) at its upper left, on which pictures keep theirs; and its figure."""
    figure = new_figure(width / DPI, height / DPI)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1), aspect="auto")
    axes.set_axis_off()
    axes.set_autoscale_on(False)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return figure, axes


def enlarged(image: Tensor) -> np.ndarray:
    """An image, float [C, H, W] in [0, 1] with C 1 or 3, as colours, a whole number of times as large: [h, w, 3]."""
    colours = image.detach().cpu().clamp(0, 1).permute(1, 2, 0).numpy()
    zoom = max(1, round(CELL / colours.shape[0]))
    colours = np.broadcast_to(colours, (*colours.shape[:2], 3))
    return colours.repeat(zoom, 0).repeat(zoom, 1)


def quiet(axes: Axes) -> None:
    """Only a left and a bottom line, faint horizontal rules, small grey numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=MUTED, labelsize=8, length=0)
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)


def save(figure: Figure, path: Path) -> None:
    """Write the figure to `path` as PNG, atomically; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
