"""What L_GEN buys: foreign images refused, corrupted images read, samples that are digits; with it and without.

    python experiments/ood.py --seeds 320-324 --data-dir DATA

Each run is trained once into --runs and measured once (ood.json in its folder), so the script goes on where it stopped.
DATA holds MNIST, notMNIST, omniglot and CIFAR-10 as the package's loaders read them. Labels serve to measure only: the
judge of the samples is a network trained with them. The result goes to experiments/results/ood.json.
"""

import json
import statistics
from dataclasses import replace
from pathlib import Path

import click
import torch
from common import FILE, RESULTS, Script, out_option, runs_option, seeds_option, write_result
from corruptions import CORRUPTIONS, corrupt_images
from judge import Judge, floor, judged, load_judge
from once import run_once
from torch import Tensor

import gedi_nesy as gn
from gedi_nesy.data import Images, load_images
from gedi_nesy.data.outliers import load_outliers
from gedi_nesy.files import write_atomically
from gedi_nesy.nesy.losses import build_sgld
from gedi_nesy.nesy.ood import ood_auroc

VARIANTS: dict[str, dict] = {
    "gen": {},
    "no-distorted": {"sampler.distorted": 0, "student.weights.distorted": 0},
    "no-gen": {"student.weights.gen": 0, "student.weights.distorted": 0, "student.weights.energy_l2": 0},
}
SHARED = {"dataset": "mnist", "sampler.engine": "numba"}
AGAINST = ("notmnist", "omniglot", "cifar10", "rotated", "inverted", "noise")
SAMPLES = 1000  # chains from uniform noise


@click.command(cls=Script)
@seeds_option("320-324")
@click.option("--examples", default=1000, show_default=True)
@click.option("--variant", "variants", multiple=True, type=click.Choice(list(VARIANTS)), help="[default: all]")
@click.option("--data-dir", type=FILE, required=True)
@runs_option("runs/ood")
@out_option("ood.json")
def main(seeds: range, examples: int, variants: tuple[str, ...], data_dir: Path, runs: Path, out: Path) -> None:
    """Run the experiment."""
    if (variants or (seeds, examples) != (range(320, 325), 1000)) and out == RESULTS / "ood.json":
        raise click.UsageError("This is not the whole experiment; give its result a place of its own with --out.")
    torch.set_num_threads(1)
    images = load_images("mnist", data_dir)
    outliers = {name: load_outliers(name, images.x_test, data_dir) for name in AGAINST}
    judge, judge_accuracy = load_judge(runs / "judge.pt", images)
    rows: dict[str, list[dict]] = {}
    for variant in variants or VARIANTS:
        rows[variant] = []
        for seed in seeds:
            folder = runs / f"{variant}-{examples}-seed{seed}"
            overrides = SHARED | {"examples": examples} | VARIANTS[variant]
            run_once("gedi-nesy", folder, overrides | {"seed": seed}, data_dir)
            rows[variant].append(measured(folder, images, outliers, judge))
            print(variant, seed, json.dumps(rows[variant][-1]), flush=True)
    result = {
        "judge": {"accuracy": judge_accuracy, "floor": floor(judge, images)},
        "settings": {variant: SHARED | VARIANTS[variant] for variant in rows},
        "median": {variant: medians(runs_of) for variant, runs_of in rows.items()},
        "runs": rows,
    }
    write_result(out, result)


def measured(folder: Path, images: Images, outliers: dict[str, Tensor], judge: Judge) -> dict:
    """Every figure of one run, from its folder where it was measured before."""
    file = folder / "ood.json"
    if not file.exists():
        write_atomically(file, json.dumps(measure(gn.load_run(folder), images, outliers, judge), indent=2).encode())
    return json.loads(file.read_text())


def measure(run: gn.Run, images: Images, outliers: dict[str, Tensor], judge: Judge) -> dict:
    """AUROC, accuracy on test images and on corrupted ones, mean energies, and what the judge sees in the samples."""
    return {
        "seed": run.recipe.seed,
        "accuracy": run.summary["accuracy"],
        "auroc": ood_auroc(run, images.x_test, outliers),
        "corrupted": {kind: accuracy(run, corrupt_images(kind, images.x_test), images.y_test) for kind in CORRUPTIONS},
        "energy": {
            "test": run.energy(images.x_test).mean().item(),
            "noise": run.energy(outliers["noise"]).mean().item(),
        },
        "samples": judged(judge, images, samples(run)),
        "seconds": run.summary["seconds"],
    }


def accuracy(run: gn.Run, images: Tensor, labels: Tensor) -> float:
    """The share of images whose predicted digit is the label."""
    return (run.log_probs(images).argmax(-1) == labels).float().mean().item()


def samples(run: gn.Run) -> Tensor:
    """Chains from uniform noise, [SAMPLES, 1, 28, 28] in [0, 1]; also where L_GEN was off, for comparison."""
    generator = torch.Generator().manual_seed(0)
    assert run.recipe.sampler is not None
    sgld = build_sgld(run.recipe.sampler, run.readings["digits"], run.shapes["digits"], run.networks["digits"])
    low, high = run.scale.low, run.scale.high
    noise = low + (high - low) * torch.rand(SAMPLES, 1, 28, 28, generator=generator)
    sampler = replace(sgld, steps=run.recipe.sampler.life)
    return run.scale.to_unit(sampler(run.networks["digits"], noise, generator))


def medians(runs: list[dict]) -> dict:
    """The median of every figure over the seeds, in the shape of one run's figures."""
    first = runs[0]
    return {
        key: medians([run[key] for run in runs]) if isinstance(value, dict) else statistics.median(r[key] for r in runs)
        for key, value in first.items()
        if key != "seed"
    }


if __name__ == "__main__":
    main()
