"""The paper's images (Tables 4, 5, 10 to 12): every method on SVHN, CIFAR-10 and CIFAR-100, its figures beside ours.

    python experiments/images_tables.py --device cuda
    python experiments/images_tables.py --datasets cifar10 --methods gedi,jem --budget 2000
    python experiments/images_tables.py --only-write

Of each run: NMI, AMI and Hungarian accuracy on the whole test set and the NMI of batches of 64; linear probe; FID with
--inception, otherwise the Fréchet distance of a classifier's features, under its own name; AUROC against the other data
sets that can be had. The picture of its samples after 500 SGLD steps (Figures 6, 9 and 10) is copied beside the result.

Each run has a folder in --runs, where a finished one is kept and a stopped one resumed. With --budget runs are so many
steps long, which the result's name says: experiments/results/images-budget2000.json. What was not run is an empty row.
"""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from gedi_nesy.cli import Commas
from gedi_nesy.data import DataUnavailable, load_images
from gedi_nesy.runs import RunFolder
from gedi_nesy.settings import parse_setting
from gedi_nesy.vision.evaluate import evaluate
from gedi_nesy.vision.ood import ood_auroc
from gedi_nesy.vision.recipe import IMAGES, METHODS, load_recipe, recipe_for
from gedi_nesy.vision.run import load_run
from gedi_nesy.vision.train import resume, train
from gedi_nesy.watch import Interrupted

RESULTS = Path(__file__).parent / "results"
OF_THE_PAPER = ("jem", "barlow", "swav", "gedi-no-gen", "gedi")


@click.command()
@click.option("--datasets", type=Commas(click.Choice(IMAGES)), default=",".join(IMAGES), show_default=True)
@click.option("--methods", type=Commas(click.Choice(METHODS)), default=",".join(OF_THE_PAPER), show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--budget", type=int, help="Training steps of each run, instead of the published ones.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--data-dir", type=click.Path(path_type=Path))
@click.option("--inception", type=click.Path(path_type=Path), help="torch-fidelity's file of Inception's weights.")
@click.option("--samples", default=1000, show_default=True, help="For the distances.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/images"), show_default=True)
@click.option("--name", help="Of the result.  [default: images-published, or images-budget<steps>]")
@click.option("--only-write", is_flag=True, help="Train and evaluate nothing.")
def main(
    datasets: tuple[str, ...],
    methods: tuple[str, ...],
    seed: int,
    budget: int | None,
    device: str,
    data_dir: Path | None,
    inception: Path | None,
    samples: int,
    settings: tuple[str, ...],
    runs: Path,
    name: str | None,
    only_write: bool,
) -> None:
    """Run the experiment."""
    name = name or (f"images-budget{budget}" if budget else "images-published")
    command = shlex.join(["python", "experiments/images_tables.py", *sys.argv[1:]])
    overrides = {"seed": seed, "device": device} | dict(map(parse_setting, settings))
    cells = [(method, dataset) for dataset in datasets for method in methods]
    for method, dataset in [] if only_write else cells:
        folder = runs / name / f"{method}-{dataset}-seed{seed}"
        try:
            train_once(recipe_for(method, dataset=dataset), folder, budget, data_dir, overrides)
            evaluate_once(folder, device, data_dir, inception, samples)
        except DataUnavailable as error:
            print(f"{method} on {dataset}: {error}", flush=True)
        except Interrupted as stopped:
            sys.exit(f"Stopped in {stopped}; go on with the same command.")
        write_results(runs / name, RESULTS / name, seed, command)
    write_results(runs / name, RESULTS / name, seed, command)


def train_once(recipe: str, folder: Path, budget: int | None, data_dir: Path | None, overrides: dict[str, Any]) -> None:
    """Train, resume or keep what is in the folder."""
    if (folder / "summary.json").exists():
        return
    if (folder / "config.toml").exists():
        resume(folder, data_dir=data_dir)
        return
    stages = load_recipe(recipe).stages
    shares = {f"{stage}.steps": budget // len(stages) for stage in stages} if budget else {}
    train(recipe, out=folder, data_dir=data_dir, **shares | overrides)


def evaluate_once(folder: Path, device: str, data_dir: Path | None, inception: Path | None, samples: int) -> None:
    """Write evaluation.json into a finished run's folder, unless it is there."""
    if (folder / "evaluation.json").exists():
        return
    run = load_run(folder, device)
    figures = evaluate(run, data_dir=data_dir, inception=inception, samples=samples)
    others = [name for name in IMAGES if name != run.recipe.dataset and is_there(name, data_dir)]
    figures["auroc"] = ood_auroc(run, others, data_dir)
    RunFolder(folder).write_json("evaluation.json", figures)


def is_there(name: str, data_dir: Path | None) -> bool:
    """Whether a data set can be had."""
    try:
        load_images(name, data_dir)
    except DataUnavailable:
        return False
    return True


def write_results(runs: Path, result: Path, seed: int, command: str) -> None:
    """Gather everything that is finished; what is not is an empty row."""
    rows = []
    for dataset in IMAGES:
        for method in OF_THE_PAPER:
            folder = runs / f"{method}-{dataset}-seed{seed}"
            row = {"method": method, "trained on": dataset, "finished": (folder / "evaluation.json").exists()}
            rows.append(row | (read_row(folder) if row["finished"] else {}))
            if row["finished"] and (folder / "samples.png").exists():
                shutil.copy(folder / "samples.png", f"{result}-{method}-{dataset}.png")
    RunFolder(result.parent).write_json(f"{result.name}.json", {"command": command, "rows": rows})
    for row in rows:
        print(
            f"{row['method']:12} {row['trained on']:9} " + (describe(row) if row["finished"] else "not run"), flush=True
        )


def read_row(folder: Path) -> dict[str, Any]:
    """All figures of one run, and what they depend on."""
    summary, figures = (RunFolder(folder).read_json(f"{name}.json") for name in ("summary", "evaluation"))
    kept = ("dataset", "examples", "seed", "steps", "seconds", "certificate", "device", "machine", "versions")
    published_steps = sum(stage.steps for stage in load_recipe(summary["recipe"]).stages.values())
    facts = {key: summary[key] for key in kept} | {"returns": summary.get("returns", [])}
    return facts | {"share of the published steps": summary["steps"] / published_steps, "figures": figures}


def describe(row: dict[str, Any]) -> str:
    """A line of what was found, with what the paper reports."""
    figures, share = row["figures"], row["share of the published steps"]
    names = ("nmi", "ami", "cluster_accuracy", "nmi_batch64", "linear_probe")
    found = "  ".join(f"{name} {figures[name]:.3f}" for name in names if name in figures)
    return f"{share:.1%} of the steps  {found}  paper {figures.get('published')}"


if __name__ == "__main__":
    main()
