"""Tune what the paper leaves open in its rivals: the weight of their own loss beside L_NESY's 25, and their views.

    python experiments/tune_rivals.py

A cell's score is, on examples whose images the run has not seen, -log P(rule | images) plus the divergence of each
variable's mean prediction from its marginal under the rule, in nats an example; the lowest wins. No label enters it;
the likelihood alone would choose the collapse, in which everything is 0. Accuracies are recorded to compare the choice
with the one that labels would have made. Finished cells are kept; the result is written after each.
"""

import itertools
import json
import statistics
from pathlib import Path

import click
import torch
from common import WHERE, Script, figures_of, out_option, runs_option, write_result
from once import run_once

import gedi_nesy as gn
from gedi_nesy.core.losses import prior_divergence
from gedi_nesy.data import load_images
from gedi_nesy.nesy.examples import Examples, draw_examples

WEIGHTS = {"swav": (25.0, 100.0, 400.0), "barlow": (1.0, 10.0, 100.0, 1000.0)}
HELD_OUT = 2000  # examples


@click.command(cls=Script)
@click.option("--rival", "rivals", multiple=True, default=tuple(WEIGHTS), show_default=True)
@click.option("--steps", default=600, show_default=True, help="Of each run; the recipes take 2500 and 5000.")
@click.option("--seeds", default=2, show_default=True, help="0, 1, ...; for tuning only.")
@runs_option("runs/tune")
@out_option("tune_rivals.json")
def main(rivals: tuple[str, ...], steps: int, seeds: int, runs: Path, out: Path) -> None:
    """Run the grid."""
    rows: list[dict] = []
    for seed, rival, examples, warp in itertools.product(range(seeds), rivals, (100, 1000), (False, True)):
        for weight in WEIGHTS[rival]:
            cell = {"rival": rival, "examples": examples, "warp": warp, "weight": weight}
            folder = runs / f"{rival}-{examples}-{'warp' if warp else 'noise'}-{weight:g}-{seed}"
            overrides = {
                "dataset": "mnist",
                "seed": seed,
                "train.steps": steps,
                "train.epochs": None,
                "log_every": steps,
            }
            overrides |= {"train.warp": warp, f"train.weights.{rival}": weight}
            run = run_once(f"{rival}-nesy-addition-{examples}", folder, overrides)
            rows.append(cell | {"seed": seed} | score(run) | figures_of(run.summary))
            rows[-1]["seconds"] = run.summary["seconds"]
            print(json.dumps(rows[-1]), flush=True)
            result = {
                "criterion": "mean over seeds of score = nll + imbalance on unseen examples, in nats; lowest is chosen",
                "chosen": choose(rows, "score"),
                "labels_would_choose": choose(rows, "accuracy", highest=True),
                "cells": rows,
                **{key: run.summary[key] for key in ("dataset", *WHERE)},
            }
            write_result(out, result)


def score(run: gn.Run) -> dict[str, float]:
    """How well the rule fares on examples that the run has not seen, and how far from its marginals predictions are."""
    images, rule = load_images("mnist"), run.constraint

    def draw(unseen: torch.Tensor, n: int, seed: int) -> Examples:
        generator = torch.Generator().manual_seed(seed)
        return draw_examples(rule, images.x_train[unseen], images.y_train[unseen], images.classes, n, generator)

    everything = torch.arange(len(images.x_train))
    seen = {image.tobytes() for image in draw(everything, run.recipe.examples, run.recipe.seed).pool.numpy()}
    unseen = torch.tensor([image.tobytes() not in seen for image in images.x_train.numpy()])
    examples = draw(everything[unseen], HELD_OUT, 0)
    log_probs = {key: run.log_probs(examples.pool[rows]) for key, rows in examples.rows.items()}
    marginals = {key: marginal.float().log() for key, marginal in rule.marginals().items()}
    nll = -rule.log_prob(log_probs).mean().item()
    imbalance = sum(prior_divergence(values, marginals[key]).item() for key, values in log_probs.items())
    return {"score": nll + imbalance, "nll": nll, "imbalance": imbalance}


def choose(rows: list[dict], figure: str, highest: bool = False) -> dict[str, dict]:
    """For each rival and number of examples the setting whose mean figure is lowest, or highest."""
    chosen = {}
    for rival, examples in sorted({(row["rival"], row["examples"]) for row in rows}):
        settings: dict[tuple, list[float]] = {}
        for row in rows:
            if (row["rival"], row["examples"]) == (rival, examples):
                settings.setdefault((row["weight"], row["warp"]), []).append(row[figure])
        weight, warp = (max if highest else min)(settings, key=lambda setting: statistics.mean(settings[setting]))
        chosen[f"{rival}, {examples} examples"] = {
            "weight": weight,
            "warp": warp,
            f"mean {figure}": statistics.mean(settings[weight, warp]),
        }
    return chosen


if __name__ == "__main__":
    main()
