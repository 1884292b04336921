"""What each part of our recipe does at 100 examples: every cell is `gedi-nesy` with one thing changed.

    python experiments/ablation.py --seeds 500-504 --set sampler.engine=numba
    python experiments/ablation.py --cell "no EMA" --cell "no warp"

A run that is finished in --runs is read, a stopped one is resumed. The result, every figure of every seed, is written
after each cell to experiments/results/ablation.json.
"""

import json
import statistics
from pathlib import Path
from typing import Any

import click
from train_seeds import run_once

from gedi_nesy.settings import parse_setting

CELLS: dict[str, dict[str, Any]] = {
    "ours": {},
    "no L_GEN": {"student.weights.gen": 0.0, "student.weights.energy_l2": 0.0},
    "no L_PRIOR": {"train.weights.prior": 0.0},
    "L_PRIOR entropy": {"train.prior": "entropy"},
    "L_PRIOR uniform": {"train.prior": "uniform"},
    "L_PRIOR 300 throughout": {"train.weights.prior": 300.0},
    "L_PRIOR 40 throughout": {"train.weights.prior": 40.0},
    "L_INV 10": {"train.weights.inv": 10.0},
    "L_INV 10 in the last 30%": {"train.weights.inv": [[0.7, 0.0], [0.7, 10.0]]},
    "no warp": {"train.warp": False, "student.warp": False},
    "no noise": {"train.noise": 0.0, "student.noise": 0.0},
    "no EMA": {"train.ema": 0.0, "student.ema": 0.0},
    "one learning rate in the student": {"student.learning_rate": 2e-3},
    "one cycle": {"cycles": 1},
    "one restart": {"restarts": 1},
    "one restart, no student": {"restarts": 1, "student": None},
}
FIGURES = ("accuracy", "cluster_accuracy", "nmi", "ami", "constraint_satisfaction", "seconds")


@click.command()
@click.option("--seeds", default="500-504", show_default=True, help="First and last.")
@click.option("--examples", default=100, show_default=True)
@click.option("--dataset", default="mnist", show_default=True)
@click.option("--cell", "cells", multiple=True, type=click.Choice(list(CELLS)), help="[default: all]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="For every cell.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/ablation"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path(__file__).parent / "results/ablation.json")
def main(
    seeds: str, examples: int, dataset: str, cells: tuple[str, ...], settings: tuple[str, ...], runs: Path, out: Path
) -> None:
    """Run the experiment."""
    first, _, last = seeds.partition("-")
    shared = {"examples": examples, "dataset": dataset} | dict(parse_setting(text) for text in settings)
    result: dict[str, Any] = {
        "command": f"python experiments/ablation.py --seeds {seeds} --examples {examples} --dataset {dataset}"
        + "".join(f' --cell "{name}"' for name in cells)
        + "".join(f" --set {text}" for text in settings),
        "cells": {},
    }
    for name in cells or CELLS:
        slug = name.lower().replace(" ", "-").replace(",", "").replace("%", "")
        summaries = []
        for seed in range(int(first), int(last or first) + 1):
            folder = runs / f"{slug}-{dataset}-{examples}-seed{seed}"
            summaries.append(run_once("gedi-nesy", folder, seed, shared | CELLS[name]))
            print(f"{name}, seed {seed}: {json.dumps(row(summaries[-1]))}", flush=True)
        result["cells"][name] = summarise(summaries) | {"changed": CELLS[name]}
        result |= {key: summaries[0][key] for key in ("dataset", "examples", "device", "machine", "versions")}
        out.write_text(json.dumps(result, indent=2) + "\n")


def row(summary: dict[str, Any]) -> dict[str, Any]:
    """What one seed of a cell reached."""
    found = {key: summary["certificate"][key] for key in ("certified", "failures", "restart_agreement", "D")}
    return {key: summary[key] for key in ("seed", *FIGURES)} | found


def summarise(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """A cell's median, spread and worst seed, and every seed; `certified` counts runs."""
    return {
        "median": {key: statistics.median(s[key] for s in summaries) for key in FIGURES},
        "std": {key: statistics.pstdev(s[key] for s in summaries) for key in FIGURES},
        "worst accuracy": min(s["accuracy"] for s in summaries),
        "certified": sum(s["certificate"]["certified"] for s in summaries),
        "seeds": [row(summary) for summary in summaries],
    }


if __name__ == "__main__":
    main()
