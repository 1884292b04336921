"""Figure 8 of the paper: how the clusters depend on the weights of L_INV and L_PRIOR.

    python experiments/toys_weights.py --datasets moons,circles --seeds 5
    python experiments/toys_weights.py --published --datasets moons --seeds 5

The result goes to experiments/results/toys-weights-<recipe>.json; a cell that is finished in --runs is kept.
"""

import json
import statistics
from pathlib import Path

import click

from gedi_nesy.runs import RunFolder
from gedi_nesy.settings import parse_setting
from gedi_nesy.vision.recipe import recipe_for
from gedi_nesy.vision.train import resume, train_seeds

RESULTS = Path(__file__).parent / "results"
WEIGHTS = (1.0, 10.0, 50.0, 200.0)


@click.command()
@click.option("--published", is_flag=True, help="The paper's recipe instead of ours.")
@click.option("--datasets", default="moons,circles", show_default=True)
@click.option("--seeds", default=5, show_default=True)
@click.option("--first-seed", default=100, show_default=True)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/weights"), show_default=True)
def main(published: bool, datasets: str, seeds: int, first_seed: int, settings: tuple[str, ...], runs: Path) -> None:
    """Run the experiment."""
    recipe = recipe_for("gedi-no-gen", published)
    command = f"python experiments/toys_weights.py {'--published ' if published else ''}--datasets {datasets} "
    command += f"--seeds {seeds} --first-seed {first_seed}" + "".join(f" --set {text}" for text in settings)
    shared = {"seeds": seeds, "seed": first_seed} | dict(map(parse_setting, settings))
    if not published:
        shared |= {"refine": None}  # the clusters are there before it
    cells = []
    for dataset in datasets.split(","):
        for inv in WEIGHTS:
            for prior in WEIGHTS:
                folder = runs / f"{recipe}-{dataset}-{inv:g}-{prior:g}"
                weights = {"train.weights.inv": inv, "train.weights.prior": prior, "dataset": dataset}
                cells.append(
                    {"dataset": dataset, "inv": inv, "prior": prior} | run_once(recipe, folder, shared | weights)
                )
                print(cells[-1]["dataset"], inv, prior, f"NMI {statistics.median(cells[-1]['nmi']):.3f}", flush=True)
                text = json.dumps({"command": command, "cells": cells}, indent=2)
                (RESULTS / f"toys-weights-{recipe}.json").write_text(text + "\n")


def run_once(recipe: str, folder: Path, overrides: dict) -> dict:
    """The figures of a cell, trained, resumed or read."""
    if not (folder / "config.toml").exists():
        train_seeds(recipe, out=folder, **overrides)
    elif not (folder / "summary.json").exists():
        resume(folder)
    summary = RunFolder(folder).read_json("summary.json")
    rows = summary["seeds"]
    return {
        "nmi": [row["nmi"] for row in rows],
        "D": [row["certificate"]["D"] for row in rows],
        "seeds": [row["seed"] for row in rows],
        **{key: summary[key] for key in ("seconds", "device", "machine", "versions")},
    }


if __name__ == "__main__":
    main()
