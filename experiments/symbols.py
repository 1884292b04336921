"""Any images, any features: a rule names symbols in vectors, letters, colours, skewed and broken examples.

    python unpack.py cifar10 cifar10.npz
    python experiments/features.py cifar10.npz --out cifar10-features.npz
    python experiments/symbols.py features-1000 --seeds 700-704 --features cifar10-features.npz
    python experiments/symbols.py zipf --seeds 700-704

Each setting (`settings.py`) draws its examples from labelled inputs and trains on them without the labels. The figures
of each run are added to experiments/results/any-<setting>.json when it ends; a seed that is there is not run again.
"""

import json
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from ceiling import accuracy, teach
from common import (
    FILE,
    RESULTS,
    Script,
    add_run,
    finished_runs,
    is_finished,
    runs_option,
    seeds_option,
    settings_option,
)
from once import run_on, write_labels
from settings import SETTINGS, Drawn, Task, Where, draw
from torch import Tensor
from torch.nn import functional as F

import gedi_nesy as gn
from gedi_nesy.core.metrics import score
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.evaluate import fit_to_rule
from gedi_nesy.nesy.reading import Reading
from gedi_nesy.nesy.recipe import Stage
from gedi_nesy.nesy.table import read_own

CEILING_STEPS = 1500  # of the network that is taught with labels


@click.command(cls=Script)
@click.argument("setting", type=click.Choice(list(SETTINGS)))
@seeds_option("700-704")
@settings_option
@click.option("--data-dir", type=FILE, help="Where MNIST and notMNIST lie.")
@click.option("--features", type=FILE, help="CIFAR-10's features, by features.py.")
@click.option("--pixels", type=FILE, help="CIFAR-10 as an .npz file, from which the features were made.")
@click.option("--out", type=FILE, help="[default: experiments/results/any-SETTING.json]")
@runs_option("runs/any")
def main(
    setting: str,
    seeds: range,
    settings: dict[str, Any],
    data_dir: Path | None,
    features: Path | None,
    pixels: Path | None,
    out: Path | None,
    runs: Path,
) -> None:
    """Train SETTING once a seed; what its result holds already is kept."""
    torch.set_num_threads(1)
    if (setting.startswith(("features", "pixels")) and not features) or (setting.startswith("pixels") and not pixels):
        raise click.UsageError(f"{setting} needs {'--pixels and ' * setting.startswith('pixels')}--features.")
    n, task_in = SETTINGS[setting]
    task = task_in(Where(data_dir, features, pixels))
    out, about = out or RESULTS / f"any-{setting}.json", {"setting": setting, "examples": n, "settings": settings}
    for seed in seeds:
        if not is_finished(out, {"seed": seed}, about):
            new = measure(task, n, seed, settings, runs / f"{setting}-seed{seed}")
            click.echo(json.dumps(new))
            add_run(out, new, ["seed"], about)
    found = finished_runs(out)
    middle, certified = median(run["accuracy"] for run in found), sum(run["certified"] for run in found)
    click.echo(f"{setting}: median accuracy {middle:.4f}, {certified} of {len(found)} certified")


def measure(task: Task, n: int, seed: int, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The figures of one run, trained, resumed or kept, whichever its folder is in need of."""
    drawn = draw(task, n, seed)
    cpu = time.process_time()
    run = trained(task, drawn, seed, settings, folder)
    cpu = time.process_time() - cpu
    summary, (name, inputs) = run.summary, next(iter(task.inputs.items()))
    found = score(run.log_probs(inputs.x_test, name).argmax(-1), inputs.y_test, len(run.domains[name]))
    certificate, matching = summary["certificate"], summary["matching"] or {}
    return {
        "seed": seed,
        "accuracy": round(found.accuracy, 4),
        "cluster_accuracy": round(found.cluster_accuracy, 4),
        "nmi": round(found.nmi, 4),
        **_others(run, task),
        **({"with_labels": round(ceiling(task, drawn, run, seed), 4)} if task.ceiling else {}),
        **({"suspects_that_are_broken": suspects(run, drawn.broken)} if drawn.broken else {}),
        "train_constraint_satisfaction": round(summary["train_constraint_satisfaction"], 4),
        "certified": certificate["certified"],
        "failures": certificate["failures"],
        "D": round(certificate["D"], 4),
        **{key: matching.get(key) for key in ("likeness", "separation", "margin", "chains")},
        "recipe": summary["recipe"],
        "seconds": summary["seconds"],
        "cpu_seconds": round(cpu, 1),
    }


def trained(task: Task, drawn: Drawn, seed: int, settings: dict[str, Any], folder: Path) -> gn.Run:
    """The run in the folder."""
    rule: dict[str, Any] = {"program": task.program, "arguments": task.arguments, "query": task.query}
    if task.labelled:
        ((name, inputs),) = task.inputs.items()  # a rule with a single network
        rows = drawn.labels[name]
        rule["labels"] = write_labels(folder.with_suffix(".labels.npz"), inputs.x[rows], inputs.y[rows].tolist())
    return run_on(drawn.data, folder, {**rule, "seed": seed, **task.settings, **settings})


def _others(run: gn.Run, task: Task) -> dict[str, float]:
    """The accuracies of the rule's further networks."""
    _, *others = task.inputs.items()
    right = {name: run.log_probs(inputs.x_test, name).argmax(-1) == inputs.y_test for name, inputs in others}
    return {f"accuracy_{name}": round(each.float().mean().item(), 4) for name, each in right.items()}


def suspects(run: gn.Run, broken: list[int]) -> float:
    """The share of broken examples among as many of the least credible ones."""
    examples = read_own(run.recipe, run.constraint, run.folder.path)
    loader = Loader(examples, run.constraint, run.readings, run.device)
    fit = fit_to_rule(run.networks, run.constraint, loader, stage=run.recipe.last)
    named = fit.credible.argsort()[: len(broken)].tolist()
    return round(len(set(named) & set(broken)) / len(broken), 4)


def ceiling(task: Task, drawn: Drawn, run: gn.Run, seed: int) -> float:
    """What the same network reaches with labels on the images of the same examples."""
    (name, inputs), *_ = task.inputs.items()
    reading, rows, stage = run.readings[name], drawn.used[name], run.recipe.last
    x, one_hot = reading.scale.to_inputs(inputs.x[rows]), F.one_hot(inputs.y[rows]).float()
    assert task.ceiling is not None
    net = teach(task.ceiling, x, one_hot, partial(_view, reading, stage), CEILING_STEPS, seed)
    return accuracy(net, reading.scale.to_inputs(inputs.x_test), inputs.y_test)


def _view(reading: Reading, stage: Stage, x: Tensor, generator: torch.Generator) -> Tensor:
    return reading.view(x, stage, generator)


if __name__ == "__main__":
    main()
