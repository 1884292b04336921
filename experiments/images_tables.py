"""The paper's images (Tables 4, 5, 10 to 12): every method on SVHN, CIFAR-10 and CIFAR-100, its figures beside ours.

    python experiments/images_tables.py --device cuda
    python experiments/images_tables.py --datasets cifar10 --methods gedi,jem --budget 2000
    python experiments/images_tables.py --datasets cifar10 --budget 1000 --set network.encoder=resnet8-16 --name small
    python experiments/images_tables.py --only-write

Of each run: NMI, AMI and Hungarian accuracy on the whole test set and the NMI of batches of 64; linear probe and
nearest neighbours; FID and KID with --inception, otherwise distances of a classifier's features, under their own names;
precision and recall of samples; AUROC against the other data sets that can be had. Its samples after 500 SGLD steps
(Figures 6, 9 and 10) are copied beside the result.

Each run has a folder in --runs, where a finished one is kept and a stopped one resumed. With --budget runs are so many
steps long, which the result's name says: experiments/results/images-budget2000.json, and .md. A row of the result stays
until its run is finished anew. A cell without a figure of ours says why: not run, failed, no energy model.
"""

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from once import vision_run_once

from gedi_nesy.cli import Commas
from gedi_nesy.data import DataUnavailable, load_images
from gedi_nesy.errors import UserError
from gedi_nesy.runs import RunFolder
from gedi_nesy.settings import parse_setting
from gedi_nesy.vision.evaluate import evaluate
from gedi_nesy.vision.ood import ood_auroc
from gedi_nesy.vision.published import AUROC_ON_IMAGES, FIGURES_ON_IMAGES
from gedi_nesy.vision.recipe import IMAGES, METHODS, load_recipe, recipe_for
from gedi_nesy.vision.run import load_run
from gedi_nesy.watch import Interrupted

RESULTS = Path(__file__).parent / "results"
OF_THE_PAPER = ("jem", "barlow", "swav", "gedi-no-gen", "gedi")
# of evaluation.json: figure, its title, what `published` calls it
CLUSTERS = {
    "nmi": ("NMI", None),
    "ami": ("AMI", None),
    "cluster_accuracy": ("Hungarian accuracy", None),
    "nmi_batch64": ("NMI of 64s", "nmi_batch64"),
    "nmi_batch64_chance": ("its chance", None),
    "linear_probe": ("probe", "linear_probe"),
    "knn": ("kNN", None),
}
SAMPLES = {
    "FID": ("FID", "FID"),
    "KID": ("KID", None),
    "FD(classifier)": ("FD(classifier)", None),
    "KD(classifier)": ("KD(classifier)", None),
    "precision": ("precision", None),
    "recall": ("recall", None),
}
SCORES = {"energy": "energy", "gradient": "gradient", "max_softmax": "max softmax"}


@click.command()
@click.option("--datasets", type=Commas(click.Choice(IMAGES)), default=",".join(IMAGES), show_default=True)
@click.option("--methods", type=Commas(click.Choice(METHODS)), default=",".join(OF_THE_PAPER), show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--budget", type=int, help="Training steps of each run, instead of the published ones.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--data-dir", type=click.Path(path_type=Path))
@click.option("--inception", type=click.Path(path_type=Path), help="torch-fidelity's file of Inception's weights.")
@click.option("--samples", type=int, help="For the distances.  [default: 1000; with --inception 10000]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Needs a --name.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/images"), show_default=True)
@click.option("--name", help="Of the result; -budget<steps> is added.  [default: images-published, or images]")
@click.option("--only-write", is_flag=True, help="Train and evaluate nothing.")
def main(
    datasets: tuple[str, ...],
    methods: tuple[str, ...],
    seed: int,
    budget: int | None,
    device: str,
    data_dir: Path | None,
    inception: Path | None,
    samples: int | None,
    settings: tuple[str, ...],
    runs: Path,
    name: str | None,
    only_write: bool,
) -> None:
    """Run the experiment."""
    if settings and not name:
        raise click.UsageError("--set makes runs that are not the paper's; give their result a --name.")
    name = (name or ("images" if budget else "images-published")) + (f"-budget{budget}" if budget else "")
    command = shlex.join(["python", "experiments/images_tables.py", *sys.argv[1:]])
    shared = {"seed": seed, "device": device}
    own = dict(map(parse_setting, settings))
    cells = [(method, dataset) for dataset in datasets for method in methods]
    for method, dataset in [] if only_write else cells:
        folder = runs / name / f"{method}-{dataset}-seed{seed}"
        row: dict[str, Any] = {"method": method, "trained on": dataset, "seed": seed, "command": command}
        try:
            recipe = recipe_for(method, dataset=dataset)
            overrides = shared | shares(recipe, budget) | own
            vision_run_once(recipe, folder, overrides | {"dataset": dataset}, data_dir)
            evaluate_once(folder, device, data_dir, inception, samples)
            row |= read_row(folder, overrides)
            if (folder / "samples.png").exists():
                shutil.copy(folder / "samples.png", RESULTS / f"{name}-{folder.name}.png")
        except UserError as error:  # it can't be had, or diverged: the others go on
            row |= {"failed": str(error)}
        except Interrupted as stopped:
            sys.exit(f"Stopped in {stopped}; go on with the same command.")
        print("  ".join(f"{title} {text}" for title, text in cells_of(row).items()), flush=True)
        write_results(RESULTS / f"{name}.json", [row])
    write_results(RESULTS / f"{name}.json", [])


def shares(recipe: str, budget: int | None) -> dict[str, Any]:
    """The steps of each stage, where there is a budget."""
    stages = load_recipe(recipe).stages
    return {f"{stage}.steps": budget // len(stages) for stage in stages} if budget else {}


def evaluate_once(
    folder: Path, device: str, data_dir: Path | None, inception: Path | None, samples: int | None
) -> None:
    """Write evaluation.json into a finished run's folder, unless it is there and was made in this way."""
    run = load_run(folder, device)
    others = [name for name in IMAGES if name != run.recipe.dataset and is_there(name, data_dir)]
    how = {"samples": samples, "against": others, "extractor": "inception" if inception else "classifier"}
    place = folder / "evaluation.json"
    if place.exists() and json.loads(place.read_text()).get("how") == how:
        return
    figures = evaluate(run, data_dir=data_dir, inception=inception, samples=samples)
    figures |= {"auroc": ood_auroc(run, others, data_dir), "how": how}
    RunFolder(folder).write_json("evaluation.json", figures)


def is_there(name: str, data_dir: Path | None) -> bool:
    """Whether a data set can be had."""
    try:
        load_images(name, data_dir)
    except DataUnavailable:
        return False
    return True


def read_row(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All figures of one run, and what they depend on."""
    summary, figures = (RunFolder(folder).read_json(f"{name}.json") for name in ("summary", "evaluation"))
    kept = ("dataset", "examples", "steps", "seconds", "certificate", "device", "machine", "versions")
    published_steps = sum(stage.steps for stage in load_recipe(summary["recipe"]).stages.values())
    facts = {key: summary[key] for key in kept} | {"returns": summary.get("returns", []), "settings": dict(settings)}
    return facts | {"share of the published steps": summary["steps"] / published_steps, "figures": figures}


def write_results(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows among the others, in place of older ones of their kind; of the paper's, what is missing is empty."""

    def kind(row: Mapping[str, Any]) -> tuple[int, int, int]:
        return IMAGES.index(row["trained on"]), METHODS.index(row["method"]), row["seed"]

    before = json.loads(path.read_text())["rows"] if path.exists() else []
    seed = next((row["seed"] for row in [*before, *rows]), 0)
    empty = ({"method": method, "trained on": name, "seed": seed} for name in IMAGES for method in OF_THE_PAPER)
    table = {kind(row): row for row in [*empty, *before]}
    for row in rows:
        if "figures" in row or "figures" not in table.get(kind(row), {}):  # a failure leaves a finished run's row alone
            table[kind(row)] = dict(row)
    ordered = [table[key] for key in sorted(table)]
    path.write_text(json.dumps({"rows": ordered}, indent=2) + "\n")
    path.with_suffix(".md").write_text(markdown(ordered))


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Ours beside the paper's, a line a row."""
    lines = [cells_of(row) for row in rows]
    table = [list(lines[0]), ["---"] * len(lines[0]), *(list(line.values()) for line in lines)]
    return "".join(f"| {' | '.join(line)} |\n" for line in table)


def cells_of(row: Mapping[str, Any]) -> dict[str, str]:
    """A row in words, by column: ours, the paper's in brackets, and where there is none of ours why not."""
    kind, figures = (row["method"], row["trained on"]), row.get("figures", {})
    absent = None if figures else "failed" if "failed" in row else "not run"
    published, samples = FIGURES_ON_IMAGES.get(kind, {}), figures.get("samples", {})
    cells = {"method": row["method"], "trained on": row["trained on"], "seed": str(row["seed"])}
    share = absent or f"{row['share of the published steps']:.1%}"
    cells["share of the steps"] = f"failed: {row['failed']}" if "failed" in row else share
    for key, (title, theirs) in CLUSTERS.items():
        cells[title] = in_words(figures.get(key), absent or "", published.get(theirs or ""))
    for key, (title, theirs) in SAMPLES.items():
        cells[title] = in_words(samples.get(key), absent or why_none(figures), published.get(theirs or ""))
    for other in IMAGES:
        scores, paper = figures.get("auroc", {}).get(other, {}), AUROC_ON_IMAGES.get(kind, {}).get(other)
        for key, title in SCORES.items():
            text = in_words(scores.get(key), absent or "not available", paper if key == "gradient" else None)
            cells[f"AUROC {other}, {title}"] = "itself" if other == row["trained on"] else text
    return cells | {"seconds": f"{row['seconds']:.0f}" if figures else ""}


def in_words(ours: float | None, absent: str, paper: float | None) -> str:
    """A cell."""
    return (absent if ours is None else f"{ours:.3f}") + ("" if paper is None else f" (paper: {paper:g})")


def why_none(figures: Mapping[str, Any]) -> str:
    """Why a run that was evaluated lacks a figure of its samples."""
    if "samples" in figures:
        return "other features"  # Inception's, or the classifier's
    if figures["how"]["samples"] == 0:
        return "none drawn"
    return "failed" if "samples_failed" in figures else "no energy model"


if __name__ == "__main__":
    main()
