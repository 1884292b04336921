"""Does the certificate see an energy model that is broken? Short runs, good ones and ones broken on purpose.

    python experiments/energy_check.py --data-dir DATA

Some seeds of every setting in SETTINGS are trained. The judge (judge.py), a network trained with labels for this
purpose alone, says which runs have samples that are digits; the check (`core.energy_check`) looks at no label. The
check's thresholds were set on the runs of CALIBRATION, before the runs of CHECK were looked at, all but that of
`missing` (README.md). The result goes to experiments/results/energy_check.json.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import click
import torch
from common import FILE, Script, out_option, runs_option, write_result
from judge import Judge, floor, judged, load_judge
from once import run_once
from torch import Tensor

from gedi_nesy.core.chains import Chains
from gedi_nesy.core.energy_check import energy_failures
from gedi_nesy.data import Images, load_images
from gedi_nesy.errors import UserError
from gedi_nesy.files import write_atomically
from gedi_nesy.nesy import learner

SHORT = {  # the guard is off, so that the check alone has to see what goes wrong
    "examples": 300, "train.steps": 300, "student.steps": 700, "views": 4, "dataset": "mnist",
    "guard.largest_gap": 1e4, "guard.retries": 0,
}  # fmt: skip
PUBLISHED_NET = {"student.network": "mnist_net", "student.dropout": 0.0, "student.bf16": False}
OLD = {  # the sampler of earlier versions of the recipe
    **PUBLISHED_NET, "sampler.reference": None, "sampler.noise": 0.01, "sampler.warp": 0.0,
    "sampler.reinit": 0.05, "sampler.distorted": 0, "student.weights.gen": 1.0, "student.weights.distorted": 0.0,
    "student.weights.energy_l2": 0.02,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "MNIST_Net": PUBLISHED_NET,
    "64 chains of 10 steps": {"sampler.chains": 64, "sampler.steps": 10, "sampler.buffer": 700},
    "no distorted images": {"sampler.distorted": 0, "student.weights.distorted": 0.0},
    "no warped chains": {"sampler.warp": 0.0},
    "L_GEN twice as strong": {"student.weights.gen": 4.0, "student.weights.energy_l2": 0.012},
    "no reference": {"sampler.reference": None},
    "earlier recipe": OLD,
    "earlier recipe, much noise": OLD | {"sampler.noise": 0.05},
    "steps of 10": {"sampler.step_size": 10.0},
    "steps of .02": {"sampler.step_size": 0.02},
    "noise of .2": {"sampler.noise": 0.2},
    "no restarts of chains": {"sampler.reinit": 0.001},
    "one SGLD step": {"sampler.steps": 1},
    "rate times 8": {"student.learning_rate": 0.03},
    "L_GEN much too strong": {
        "student.weights.gen": 50.0, "student.weights.energy_l2": 1e-4,
    },
    "chains lose the threes": {},
}  # fmt: skip
FIGURES = ("gap", "variety", "missing", "distance")
CALIBRATION, CHECK = range(700, 701), range(710, 712)


class WithoutThrees(Chains):
    """Chains that the network takes for a 3 give their place to others, so that no sample is one."""

    def advance(self) -> tuple[Tensor, Tensor]:
        """Some places in the buffer, and their chains after their steps."""
        indices, samples = super().advance()
        threes = self._frozen(samples).argmax(-1) == 3
        return indices, torch.where(threes.view(-1, 1, 1, 1), samples.roll(1, 0), samples)


@click.command(cls=Script)
@click.option("--data-dir", type=FILE, required=True)
@runs_option("runs/energy-check")
@out_option("energy_check.json")
def main(data_dir: Path, runs: Path, out: Path) -> None:
    """Run the experiment."""
    torch.set_num_threads(1)
    images = load_images("mnist", data_dir)
    judge, accuracy = load_judge(runs / "judge.pt", images)
    rows = {
        part: [measured(runs, *cell, data_dir, images, judge) for cell in cells(seeds)]
        for part, seeds in {"calibration": CALIBRATION, "check": CHECK}.items()
    }
    result = {
        "judge": {"accuracy": accuracy, "floor": floor(judge, images)},
        "settings": {"all": SHORT} | SETTINGS,
        "told_apart": {part: told_apart(found) for part, found in rows.items()},
        "runs": rows,
    }
    write_result(out, result)
    print(json.dumps(result["told_apart"], indent=2))


def cells(seeds: range) -> Iterator[tuple[str, int]]:
    """Every setting with every seed."""
    return ((name, seed) for seed in seeds for name in SETTINGS)


def measured(runs: Path, name: str, seed: int, data_dir: Path, images: Images, judge: Judge) -> dict[str, Any]:
    """One run's check and what the judge says of its samples, from its folder where it was measured before."""
    folder = runs / f"{name.replace(' ', '-').replace(',', '')}-seed{seed}"
    file = folder / "judged.json"
    if not file.exists():
        kind = WithoutThrees if name == "chains lose the threes" else Chains
        row: dict[str, Any] = {"setting": name, "seed": seed}
        try:
            with mock.patch.object(learner, "Chains", kind):
                run = run_once("gedi-nesy", folder, SHORT | SETTINGS[name] | {"seed": seed}, data_dir)
            check = run.summary["certificate"]["energies"]["digits"]
            row |= {"accuracy": run.summary["accuracy"], "check": {key: check[key] for key in FIGURES}}
            row["judge"] = judged(judge, images, run.sample(500))
        except UserError as error:
            if "diverged" not in str(error):
                raise
            row["diverged"] = str(error)
        write_atomically(file, json.dumps(row, indent=2).encode())
    row = json.loads(file.read_text())
    if "check" in row and set(row["check"]) != set(FIGURES):
        raise click.ClickException(f"{file} is from before the check had {', '.join(FIGURES)}: delete it.")
    print("good" if is_good(row) else "broken", "passed" if passes(row) else "seen", json.dumps(row), flush=True)
    return row


def is_good(row: dict[str, Any]) -> bool:
    """Whether the judge takes the samples for digits of nearly all kinds; a rare digit may have less than 1%."""
    seen = row.get("judge")
    return bool(seen and seen["classes"] >= 8 and seen["frechet_distance"] < 250 and seen["precision"] > 0.6)


def passes(row: dict[str, Any]) -> bool:
    """Whether the check passes the run, by the present thresholds of the package."""
    return "check" in row and not energy_failures(**row["check"])


def told_apart(rows: list[dict[str, Any]]) -> dict[str, int]:
    """How many runs are good and how many broken by the judge, and on how many of each the check agrees."""
    good = [row for row in rows if is_good(row)]
    broken = [row for row in rows if not is_good(row)]
    return {
        "good": len(good),
        "good_passed": sum(map(passes, good)),
        "broken": len(broken),
        "broken_seen": sum(not passes(row) for row in broken),
    }


if __name__ == "__main__":
    main()
