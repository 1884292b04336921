"""What each part of our recipes does at 100 examples: every cell is a recipe with one thing changed.

    python experiments/ablation.py --seeds 500-504 --set sampler.engine=numba
    python experiments/ablation.py --cell "no EMA" --cell "no warp"

A finished run in --runs is kept, a stopped one is resumed. Each cell goes to experiments/results/ablation.json, with
every figure of every seed.
"""

import json
import statistics
from pathlib import Path
from typing import Any

import click
from common import (
    WHERE,
    Script,
    command,
    figures_of,
    out_option,
    runs_option,
    seeds_option,
    settings_option,
    write_json,
)
from once import run_once

from gedi_nesy.errors import UserError

OURS = "gedi-nesy-few"
RESTARTS = "gedi-nesy-restarts"  # finds the symbols by restarts under a strong prior, not by matching
CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "ours": (OURS, {}),
    "no L_GEN": (OURS, {f"student.weights.{name}": 0.0 for name in ("gen", "distorted", "energy_l2")}),
    "L_PRIOR rule 40 in the student": (OURS, {"student.weights.prior": 40.0, "student.prior": "rule"}),
    "L_INV 10 in the student": (OURS, {"student.weights.inv": 10.0}),
    "no warp": (OURS, {"train.warp": 0.0, "student.warp": 0.0}),
    "no noise": (OURS, {"train.noise": 0.0, "student.noise": 0.0}),
    "no EMA": (OURS, {"train.ema": 0.0, "student.ema": 0.0}),
    "one learning rate in the student": (OURS, {"student.learning_rate": 2e-3}),
    "three networks": (OURS, {"restarts": 3}),
    "no student": (OURS, {"student": None}),
    "no matching": (RESTARTS, {}),
    "no matching, L_PRIOR 0": (RESTARTS, {"train.weights.prior": 0.0}),
    "no matching, L_PRIOR entropy": (RESTARTS, {"train.prior": "entropy"}),
    "no matching, L_PRIOR uniform": (RESTARTS, {"train.prior": "uniform"}),
    "no matching, L_PRIOR 40 throughout": (RESTARTS, {"train.weights.prior": 40.0}),
    "no matching, one cycle": (RESTARTS, {"cycles": 1}),
}


@click.command(cls=Script)
@seeds_option("500-504")
@click.option("--examples", default=100, show_default=True)
@click.option("--dataset", default="mnist", show_default=True)
@click.option("--cell", "cells", multiple=True, type=click.Choice(list(CELLS)), help="[default: all]")
@settings_option
@runs_option("runs/ablation")
@out_option("ablation.json")
def main(
    seeds: range, examples: int, dataset: str, cells: tuple[str, ...], settings: dict[str, Any], runs: Path, out: Path
) -> None:
    """Run the experiment."""
    if len(seeds) < 2:
        raise click.UsageError("A cell's spread needs two seeds or more, --seeds 500-501.")
    shared = {"examples": examples, "dataset": dataset} | settings
    found: dict[str, Any] = json.loads(out.read_text())["cells"] if out.exists() else {}
    for name in cells or CELLS:
        recipe, changed = CELLS[name]
        slug = name.lower().replace(" ", "-").replace(",", "").replace("%", "")
        summaries: list[dict[str, Any]] = []
        failed: dict[int, str] = {}
        for seed in seeds:
            folder = runs / f"{slug}-{dataset}-{examples}-seed{seed}"
            try:
                summaries.append(run_once(recipe, folder, shared | changed | {"seed": seed}).summary)
            except UserError as stopped:  # a run that fails counts
                failed[seed] = str(stopped)
            print(f"{name}, seed {seed}: {failed.get(seed) or json.dumps(row(summaries[-1]))}", flush=True)
        if len(summaries) < 2:
            print(f"{name}: no spread, for {len(failed)} of {len(seeds)} runs failed", flush=True)
            continue
        about = {key: summaries[0][key] for key in ("dataset", "examples", *WHERE)}
        how = {"command": command(), "recipe": recipe, "changed": changed, "failed": failed}
        found[name] = how | summarise(summaries) | about
        write_json(out, {"cells": {name: found[name] for name in CELLS if name in found}})


def row(summary: dict[str, Any]) -> dict[str, Any]:
    """The figures of one seed of a cell."""
    found = {key: summary["certificate"][key] for key in ("certified", "failures", "restart_agreement", "D")}
    return {"seed": summary["seed"], **figures_of(summary), "seconds": summary["seconds"]} | found


def summarise(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """A cell's median, spread and worst seed, and every seed; `certified` counts runs."""
    figures = [*figures_of(summaries[0]), "seconds"]
    return {
        "median": {key: statistics.median(s[key] for s in summaries) for key in figures},
        "std": {key: statistics.stdev(s[key] for s in summaries) for key in figures},
        "worst accuracy": min(s["accuracy"] for s in summaries),
        "certified": sum(s["certificate"]["certified"] for s in summaries),
        "seeds": [row(summary) for summary in summaries],
    }


if __name__ == "__main__":
    main()
