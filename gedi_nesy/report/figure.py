"""What our figures have in common: Agg without global state, quiet axes, colours the colour-blind can tell apart."""

import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gedi_nesy.files import write_atomically

BLUE, ORANGE = "#0072B2", "#D55E00"  # of Okabe and Ito's palette
INK, MUTED, FAINT = "#1f2328", "#59636e", "#d5d9de"
DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure of that size in inches, drawn by Agg."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


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
