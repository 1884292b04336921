"""energies.png: how the energies of the data, of the model's samples and of outliers lie to each other."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from gedi_nesy.report.figure import BLUE, INK, MUTED, ORANGE, OTHERS, new_figure, quiet, save

BINS = 70
CUT = 0.005  # share of the energies at each end that the axis leaves out


def energies_png(path: Path, energies: Mapping[str, Tensor]) -> None:
    """One histogram of all kinds of inputs, each kind with its name and its median.

    Args:
        path: of the PNG.
        energies: by kind, [n], in nats; the data's first, then the samples', then those of outliers.

    Raises:
        ValueError: a kind has no energies, or one that is no finite number.
    """
    each = {kind: values.detach().cpu().numpy() for kind, values in energies.items()}
    for kind, values in each.items():
        if not len(values) or not np.isfinite(values).all():
            raise ValueError(f"no finite energies of {kind} to draw in {path}")
    low = min(np.quantile(values, CUT) for values in each.values())
    high = max(np.quantile(values, 1 - CUT) for values in each.values())
    edges = np.linspace(low, max(high, low + 1e-3), BINS + 1)
    figure = new_figure(7.2, 3.2)
    axes = figure.subplots()
    quiet(axes)
    for (kind, values), colour in zip(each.items(), (BLUE, ORANGE, *OTHERS), strict=False):
        share = np.histogram(values, edges)[0] / len(values)
        label = f"{kind}, median {np.median(values):.1f}"
        axes.stairs(share, edges, color=colour, fill=True, alpha=0.25)
        axes.stairs(share, edges, color=colour, linewidth=1.2, label=label)
    axes.set_xlabel("energy in nats; high for what is unlike the training data", fontsize=8, color=MUTED)
    axes.set_ylabel("share of its kind", fontsize=8, color=MUTED)
    axes.legend(fontsize=8, frameon=False, labelcolor=INK)
    save(figure, path)
