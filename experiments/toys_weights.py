"""Figure 8 of the paper: how the clusters depend on the weights of L_INV and L_PRIOR.

    python experiments/toys_weights.py --datasets moons,circles --seeds 5
    python experiments/toys_weights.py --published --datasets moons --seeds 5

The result goes to experiments/results/toys-weights-<recipe>.json, and as a map of the median NMI over the weights to
experiments/results/figures/toys-figure8-<recipe>.png; a cell that is finished in --runs is kept.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from common import RESULTS, WHERE, Script, command, runs_option, settings_option, write_json
from once import vision_run_once

from gedi_nesy.report.figure import INK, new_figure, save
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.vision.recipe import recipe_for

WEIGHTS = (1.0, 10.0, 50.0, 200.0)


@click.command(cls=Script)
@click.option("--published", is_flag=True, help="The paper's recipe instead of ours.")
@click.option("--datasets", default="moons,circles", show_default=True)
@click.option("--seeds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--first-seed", default=100, show_default=True)
@settings_option
@runs_option("runs/weights")
def main(published: bool, datasets: str, seeds: int, first_seed: int, settings: dict[str, Any], runs: Path) -> None:
    """Run the experiment."""
    recipe = recipe_for("gedi", published)
    shared = {"seeds": seeds, "seed": first_seed} | settings
    if not published:
        shared |= {"refine": None}  # L_GEN, and all that follows the clusters
    cells: list[dict[str, Any]] = []
    for dataset in datasets.split(","):
        for inv in WEIGHTS:
            for prior in WEIGHTS:
                folder = runs / f"{recipe}-{dataset}-{inv:g}-{prior:g}"
                weights = {"train.weights.inv": inv, "train.weights.prior": prior, "dataset": dataset}
                vision_run_once(recipe, folder, shared | weights)
                cells.append({"dataset": dataset, "inv": inv, "prior": prior} | read_cell(folder))
                print(cells[-1]["dataset"], inv, prior, f"NMI {statistics.median(cells[-1]['nmi']):.3f}", flush=True)
                write_json(RESULTS / f"toys-weights-{recipe}.json", {"command": command(), "cells": cells})
    (RESULTS / "figures").mkdir(exist_ok=True)
    draw(RESULTS / "figures" / f"toys-figure8-{recipe}.png", cells)


def read_cell(folder: Path) -> dict[str, Any]:
    """The figures of a finished cell."""
    summary = RunFolder(folder).read_json("summary.json")
    rows = summary["seeds"]
    return {
        "nmi": [row["nmi"] for row in rows],
        "D": [row["certificate"]["D"] for row in rows],
        "seeds": [row["seed"] for row in rows],
        **{key: summary[key] for key in ("seconds", *WHERE)},
    }


def draw(path: Path, cells: Sequence[Mapping[str, Any]]) -> None:
    """A panel for each data set: the median NMI of each pair of weights, dark where it is high."""
    datasets = list(dict.fromkeys(cell["dataset"] for cell in cells))
    figure = new_figure(3.6 * len(datasets), 3.6)
    for axes, dataset in zip(figure.subplots(1, len(datasets), squeeze=False).flat, datasets, strict=True):
        medians = [statistics.median(cell["nmi"]) for cell in cells if cell["dataset"] == dataset]
        values = np.array(medians).reshape(len(WEIGHTS), len(WEIGHTS))  # [weight of L_INV, weight of L_PRIOR]
        axes.imshow(values, origin="lower", cmap="Blues", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(values):
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.6 else INK)
        axes.set_xticks(range(len(WEIGHTS)), [f"{weight:g}" for weight in WEIGHTS])
        axes.set_yticks(range(len(WEIGHTS)), [f"{weight:g}" for weight in WEIGHTS])
        axes.set_xlabel("weight of L_PRIOR")
        axes.set_ylabel("weight of L_INV")
        axes.set_title(f"{dataset}: median NMI", loc="left", fontsize=9.5, color=INK)
    save(figure, path)
    print(path)


if __name__ == "__main__":
    main()
