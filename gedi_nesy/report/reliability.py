"""reliability.png: how often predictions are right, beside how probable the network holds them."""

from pathlib import Path

import numpy as np

from gedi_nesy.core.metrics import Calibration
from gedi_nesy.report.figure import BLUE, INK, MUTED, ORANGE, new_figure, quiet, save


def reliability_png(path: Path, calibration: Calibration) -> None:
    """A reliability diagram above the number of predictions in each bin of confidence."""
    edges = np.linspace(0, 1, len(calibration.counts) + 1)
    known = calibration.counts > 0
    figure = new_figure(3.9, 3.9)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    quiet(above)
    quiet(below)
    above.stairs(calibration.accuracy, edges, color=BLUE, fill=True, alpha=0.3)
    above.plot([0, 1], [0, 1], color=ORANGE, linewidth=1.2, dashes=(4, 3))
    above.plot(calibration.confidence[known], calibration.accuracy[known], color=BLUE, marker="o", markersize=3, lw=0)
    above.set_title(f"ECE {calibration.ece:.4f}", loc="left", fontsize=9.5, color=INK)
    above.set_ylabel("share that is right", fontsize=8, color=MUTED)
    above.set_ylim(0, 1.03)
    below.stairs(calibration.counts, edges, color=BLUE, fill=True, alpha=0.3)
    below.set_yscale("log")
    below.set_ylim(0.7, max(2, 2 * calibration.counts.max()))
    below.set_ylabel("images", fontsize=8, color=MUTED)
    below.set_xlabel("probability of the predicted symbol", fontsize=8, color=MUTED)
    below.set_xlim(0, 1)
    save(figure, path)
