"""What matching alone comes to: how many symbols it names right, and what it says about itself without labels.

    python experiments/separation.py noise clean letters --seeds 1-2
    python experiments/separation.py features-100 --features cifar10-features.npz

No network is trained. The settings are those of `settings.py`, with as many examples as matching takes by default, and
"noise", vectors that have nothing to do with the symbols. The result is added to experiments/results/separation.json.
"""

import json
import time
from pathlib import Path
from typing import Any

import click
import torch
from common import FILE, Script, out_option, seeds_option, write_result
from settings import SETTINGS, Drawn, Inputs, Task, Where, addition, draw

from gedi_nesy.data.scale import SCALES
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.labels import Labelled
from gedi_nesy.nesy.losses import Targets
from gedi_nesy.nesy.matching import match
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.table import examples_of

RECIPE = "gedi-nesy-few"
EXAMPLES = 100
FEATURES = 64  # of a vector of noise


@click.command(cls=Script)
@click.argument("settings", nargs=-1, required=True, type=click.Choice([*SETTINGS, "noise"]))
@seeds_option("1-2")
@click.option("--data-dir", type=FILE, help="Where MNIST and notMNIST lie.")
@click.option("--features", type=FILE, help="CIFAR-10's features, by features.py.")
@out_option("separation.json")
def main(settings: tuple[str, ...], seeds: range, data_dir: Path | None, features: Path | None, out: Path) -> None:
    """Match the examples of SETTINGS."""
    torch.set_num_threads(1)
    for name in settings:
        task = _noise() if name == "noise" else SETTINGS[name][1](Where(data_dir, features, None))
        for seed in seeds:
            found = {"setting": name, "seed": seed, **measure(task, seed)}
            click.echo(json.dumps(found))
            others = json.loads(out.read_text())["rows"] if out.exists() else []
            kept = [row for row in others if (row["setting"], row["seed"]) != (name, seed)]
            write_result(out, {"recipe": RECIPE, "examples": EXAMPLES, "rows": [*kept, found]})


def _noise() -> Task:
    generator = torch.Generator().manual_seed(5)
    x, y = torch.randn(5000, FEATURES, generator=generator), torch.arange(5000) % 10
    return addition(Inputs(x, y, x[:10], y[:10]))


def measure(task: Task, seed: int) -> dict[str, Any]:
    """The figures of one draw."""
    rule = Constraint.from_file(task.program, task.query, task.arguments)
    drawn = draw(task, EXAMPLES, seed)
    started = time.process_time()
    loader = Loader(examples_of(rule, drawn.data), rule, SCALES["symmetric"], torch.device("cpu"))
    recipe = load_recipe(RECIPE, {**task.settings, "matching.examples": EXAMPLES, "seed": seed})
    matched, (targets, *_) = match(rule, loader, recipe, labels=_labels(task, drawn, loader))
    return {
        "right": {name: round(_right(task, drawn, loader, targets, name), 4) for name in task.inputs},
        "separation": round(matched.separation or 0.0, 3),
        "margin": matched.margin and round(matched.margin, 4),
        "told": matched.told and round(matched.told, 3),
        "chains": matched.chains,
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def _labels(task: Task, drawn: Drawn, loader: Loader) -> dict[str, Labelled]:
    """The labelled inputs, where the task has any."""
    if not task.labelled:
        return {}
    return {
        name: Labelled(inputs.x[drawn.labels[name]], inputs.y[drawn.labels[name]], len(loader.calls[name][0].domain))
        for name, inputs in task.inputs.items()
    }


def _right(task: Task, drawn: Drawn, loader: Loader, targets: Targets, network: str) -> float:
    """The share of a network's images that are given their symbol."""
    said = torch.cat([targets[call.key].argmax(1) for call in loader.calls[network]])
    of_image = dict(
        zip(
            [image for image in task.reads if task.reads[image] == network],
            task.inputs[network].y[drawn.used[network]].chunk(len(loader.calls[network])),
            strict=True,
        )
    )
    true = torch.cat([of_image[call.inputs[0]] for call in loader.calls[network]])
    return (said == true).float().mean().item()


if __name__ == "__main__":
    main()
