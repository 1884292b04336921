"""CIFAR-10 at 16 x 16 pixels on one core: our features of pictures, and the paper's recipes for as much computing.

    python experiments/pictures_features.py --seconds 3600

Each recipe trains a `resnet8-32` for as many steps as take --seconds of CPU time here, by a measurement that is kept
beside the runs (--runs): a stopped run is resumed, a finished one is kept. Ours is the stage `features` of
`gedi-pictures`, whose clusters come from the restarts on its features, with nothing trained after them. Labels serve to
score only: nearest neighbours, a linear probe of the features as they are, as the paper has it, and standardised, and
the clusters, on the whole test set. The result goes to experiments/results/pictures-features.json.
"""

import json
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from bench_vision import begun, take_steps
from common import RESULTS, WHERE, Script, figures_of, out_option, runs_option, write_json, write_result
from once import vision_run_once
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gedi_nesy.cli.shared import Commas
from gedi_nesy.data.images import Images
from gedi_nesy.data.load import load_images
from gedi_nesy.vision.probe import knn_accuracy, linear_probe, standardised
from gedi_nesy.vision.recipe import load_recipe
from gedi_nesy.vision.run import load_run

SMALL = {"network.encoder": "resnet8-32", "speed.channels_last": True, "checkpoint_seconds": 60.0}
# no stage after the features but the restarts on them: the next one moves nothing
OURS = {"device": "cpu", "speed.bf16": False, "seconds": None, "sampler": None, "refine": None, "student": None}
OURS |= {"network.projector": [128, 64], "features.projector": [256, 256], "features.atoms": 1024}
OURS |= {"features.batch": 256, "train.steps": 1, "train.learning_rate": 0.0, "train.ema": 0.0}
RECIPES: dict[str, dict[str, Any]] = {
    "gedi-pictures": SMALL | OURS,
    "paper-cifar10-gedi": SMALL,
    "paper-cifar10-gedi-no-gen": SMALL,
}


@click.command(cls=Script)
@click.option("--recipes", type=Commas(click.Choice(list(RECIPES))), help="[default: all]")
@click.option("--seconds", default=3600.0, show_default=True, help="CPU time of each.")
@runs_option("runs")
@out_option("pictures-features.json")
def main(recipes: tuple[str, ...] | None, seconds: float, runs: Path, out: Path) -> None:
    """Run the experiment."""
    torch.set_num_threads(1)
    images, rows = small_images(runs / "cifar10-16.npz"), []
    for name in recipes or RECIPES:
        folder = runs / f"features-{name}-{seconds:g}s"
        settings = RECIPES[name] | {"dataset": str((runs / "cifar10-16.npz").resolve())}
        vision_run_once(name, folder, settings | planned(name, settings, images.x_train, seconds, runs))
        rows.append({"recipe": name} | scores(folder, images))
        print(json.dumps(rows[-1]), flush=True)
        write_result(out or RESULTS / "pictures-features.json", {"cpu_seconds": seconds, "rows": rows})


def small_images(path: Path) -> Images:
    """CIFAR-10 with means of 2 x 2 pixels for one; written there when it is first needed."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = load_images("cifar10")
        x_train, x_test = halved(whole.x_train), halved(whole.x_test)
        np.savez(path, x_train=x_train, x_test=x_test, y_train=whole.y_train.numpy(), y_test=whole.y_test.numpy())
    return load_images(str(path))


def halved(images: Tensor) -> np.ndarray:
    """uint8 [n, C, H, W] -> [n, H / 2, W / 2, C]."""
    parts = [avg_pool2d(part.float(), 2).round().to(torch.uint8) for part in images.split(1000)]
    return torch.cat(parts).permute(0, 2, 3, 1).numpy()


def planned(name: str, settings: dict[str, Any], x: Tensor, seconds: float, runs: Path) -> dict[str, int]:
    """The steps of the first stage that take so many seconds of CPU time, as they were first measured."""
    path = runs / f"features-{name}.steps-a-second.json"
    recipe = load_recipe(name, settings)
    if not path.exists():
        stand = begun(recipe, x[:10_000])
        take_steps(stand, 2)
        start = time.process_time()
        take_steps(stand, 8)
        write_json(path, 8 / (time.process_time() - start))
    (stage, *_) = recipe.stages
    return {f"{stage}.steps": max(10, round(seconds * json.loads(path.read_text())))}


def scores(folder: Path, images: Images) -> dict[str, Any]:
    """A finished run's figures on the test set."""
    run = load_run(folder)
    summary = run.summary
    about = {key: summary[key] for key in ("certificate", "steps", "seconds", *WHERE)}
    train, test = run.features(images.x_train), run.features(images.x_test)
    even, even_test = standardised(train, test)
    probes = {
        "knn": knn_accuracy(train, images.y_train, test, images.y_test),
        "linear_probe": linear_probe(train, images.y_train, test, images.y_test),
        "linear_probe_standardised": linear_probe(even, images.y_train, even_test, images.y_test),
    }
    return probes | figures_of(summary) | about


if __name__ == "__main__":
    main()
