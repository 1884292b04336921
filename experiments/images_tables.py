"""The paper's images (Tables 4, 5, 10 to 12): every method on SVHN, CIFAR-10 and CIFAR-100, its figures beside ours.

    python experiments/images_tables.py --device cuda --jobs 1
    python experiments/images_tables.py --datasets cifar10 --methods gedi,jem --budget 2000
    python experiments/images_tables.py --datasets cifar10 --budget 1000 --set network.encoder=resnet8-16 --name small
    python experiments/images_tables.py --only-write

Of each run: NMI, AMI and Hungarian accuracy on the whole test set and the NMI of batches of 64 (Table 4); FID and KID
with --inception, otherwise distances of a classifier's features, under their own names, precision and recall of samples
(Table 5), which as in the paper are drawn from every method's energy, trained with L_GEN or not; linear probe, nearest
neighbours, and AUROC against the other data sets that can be had (Tables 10 to 12). Samples of methods with L_GEN after
500 SGLD steps (Figures 6, 9 and 10) are copied beside the result.

It is a `vision compare` for each data set, in a folder of its own in --runs: a finished run is kept, a stopped one
resumed. With --budget runs are so many steps long, which the result's name says: experiments/results/
images-budget2000.json, and .md. A row of the result stays until its run is finished anew. A cell without a figure of
ours says why: not run, failed, none drawn.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from common import FILE, RESULTS, Script, command, runs_option, settings_option, write_json
from rich.console import Console

from gedi_nesy.cli.shared import Commas, Method
from gedi_nesy.data import DataUnavailable, load_images
from gedi_nesy.errors import UserError
from gedi_nesy.methods import WITHOUT_RULE
from gedi_nesy.report.comparison import ComparisonDisplay, markdown_lines
from gedi_nesy.report.words import FIGURES, SCORES, compared
from gedi_nesy.runs.compare.scheduler import Stopped
from gedi_nesy.runs.compare.trial import Outcome
from gedi_nesy.vision.compare import compare, plan_cells
from gedi_nesy.vision.evaluation import ON_IMAGES, Evaluation
from gedi_nesy.vision.published import AUROC_ON_IMAGES, FIGURES_ON_IMAGES
from gedi_nesy.vision.recipe import IMAGES, load_recipe, recipe_for

OF_THE_PAPER = ("jem", "barlow", "swav", "gedi-no-gen", "gedi")
OF_FEATURES = compared("features")
CLUSTERS = ("nmi", "ami", "cluster_accuracy", "nmi_batch64", "nmi_batch64_chance")
OF_CLUSTERS = {key: FIGURES[key].column for key in CLUSTERS}
OF_SAMPLES = ("FID", "KID", "FD(classifier)", "KD(classifier)", "precision", "recall")
FACTS = ("dataset", "examples", "steps", "seconds", "certificate", "device", "machine", "versions")
MEASURED = ("samples", "samples_failed", "test_images", "reference", "extractor", "sgld_steps", "trained_with_gen")


@click.command(cls=Script)
@click.option("--datasets", type=Commas(click.Choice(IMAGES)), default=",".join(IMAGES), show_default=True)
@click.option("--methods", type=Commas(Method(WITHOUT_RULE)), default=",".join(OF_THE_PAPER), show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--budget", type=int, help="Training steps of each run, instead of the published ones.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--jobs", default=1, show_default=True, help="Runs at a time.")
@click.option("--data-dir", type=FILE)
@click.option("--inception", type=FILE, help="torch-fidelity's file of Inception's weights.")
@click.option("--samples", type=int, help="For the distances.  [default: 1000; with --inception 10000]")
@settings_option
@runs_option("runs/images")
@click.option("--name", help="Of the result; -budget<steps> is added.  [default: images-published, or images]")
@click.option("--only-write", is_flag=True, help="Train and evaluate nothing.")
def main(
    datasets: tuple[str, ...],
    methods: tuple[str, ...],
    seed: int,
    budget: int | None,
    device: str,
    jobs: int,
    data_dir: Path | None,
    inception: Path | None,
    samples: int | None,
    settings: dict[str, Any],
    runs: Path,
    name: str | None,
    only_write: bool,
) -> None:
    """Run the experiment."""
    if settings and not name:
        raise click.UsageError("--set makes runs that are not the paper's; give their result a --name.")
    name = (name or ("images" if budget else "images-published")) + (f"-budget{budget}" if budget else "")
    for dataset in [] if only_write else datasets:
        recipes = {method: recipe_for(method, dataset=dataset) for method in methods}
        changes = {method: {"device": device} | shares(recipe, budget) | settings for method, recipe in recipes.items()}
        there = tuple(other for other in IMAGES if other != dataset and is_there(other, data_dir))
        evaluation = Evaluation(samples, inception, there)
        rows = run_all(dataset, seed, changes, runs / name / dataset, evaluation, data_dir, jobs)
        for row in rows:
            picture = Path(row.pop("picture", ""))
            if picture.is_file():
                shutil.copy(picture, RESULTS / f"{name}-{row['method']}-{dataset}-seed{seed}.png")
        write_results(RESULTS / f"{name}.json", rows)
    write_results(RESULTS / f"{name}.json", [])


def run_all(
    dataset: str,
    seed: int,
    changes: Mapping[str, Mapping[str, Any]],
    out: Path,
    evaluation: Evaluation,
    data_dir: Path | None,
    jobs: int,
) -> list[dict[str, Any]]:
    """Rows of one data set: each method with its changes of the recipe, and its failure where that is all there is."""
    rows = [{"method": method, "trained on": dataset, "seed": seed, "command": command()} for method in changes]
    try:
        planned = [plan_cells([m], [dataset], [seed], change, data_dir=data_dir) for m, change in changes.items()]
        with ComparisonDisplay(Console(), OF_CLUSTERS | OF_FEATURES) as display:
            how: dict[str, Any] = {"data_dir": data_dir, "jobs": jobs, "watch": display.show}
            found = compare([cell for (cell,) in planned], out, command(), evaluation=evaluation, **how).outcomes
    except DataUnavailable as error:
        return [row | {"failed": str(error)} for row in rows]
    except UserError as error:
        raise click.ClickException(str(error)) from error
    except Stopped as stopped:
        raise click.ClickException(f"Stopped with {stopped}; go on with the same command.") from stopped
    return [
        row | read_row(outcome, change) | {"picture": str(out / outcome.cell.name / "samples.png")}
        for row, outcome, change in zip(rows, found, changes.values(), strict=True)
    ]


def shares(recipe: str, budget: int | None) -> dict[str, Any]:
    """The steps of each stage, where there is a budget."""
    stages = load_recipe(recipe).stages
    return {f"{stage}.steps": budget // len(stages) for stage in stages} if budget else {}


def is_there(name: str, data_dir: Path | None) -> bool:
    """Whether a data set can be had."""
    try:
        load_images(name, data_dir)
    except DataUnavailable:
        return False
    return True


def read_row(outcome: Outcome, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All figures of one run, and what they depend on; or why there are none."""
    found = outcome.summary
    if found is None:
        return {"failed": outcome.failure}
    published_steps = sum(stage.steps for stage in load_recipe(found["recipe"]).stages.values())
    facts = {key: found[key] for key in FACTS} | {"returns": found.get("returns", []), "settings": dict(settings)}
    figures = {key: found[key] for key in (*OF_CLUSTERS, *OF_FEATURES, *MEASURED, "auroc", "how") if key in found}
    return facts | {"share of the published steps": found["steps"] / published_steps, "figures": figures}


def write_results(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows among the others, in place of older ones of their kind; of the paper's, what is missing is empty."""

    def kind(row: Mapping[str, Any]) -> tuple[int, int, int]:
        return IMAGES.index(row["trained on"]), WITHOUT_RULE.index(row["method"]), row["seed"]

    before = json.loads(path.read_text())["rows"] if path.exists() else []
    seed = next((row["seed"] for row in [*before, *rows]), 0)
    empty = ({"method": method, "trained on": name, "seed": seed} for name in IMAGES for method in OF_THE_PAPER)
    table = {kind(row): row for row in [*empty, *before]}
    for row in rows:
        if "figures" in row or "figures" not in table.get(kind(row), {}):  # a failure leaves a finished run's row alone
            table[kind(row)] = dict(row)
    ordered = [table[key] for key in sorted(table)]
    write_json(path, {"rows": ordered})
    path.with_suffix(".md").write_text(markdown(ordered))


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The tables: ours, the paper's in brackets, and where there is none of ours why not."""
    tables = {
        "Table 4: clusters": clusters,
        "Table 5: samples": samples_drawn,
        "Tables 10 to 12: features, AUROC against other data sets": features,
    }
    parts = []
    for title, cells in tables.items():
        lines = [start_of(row) | cells(row) for row in rows]
        parts.append(f"## {title}\n\n{markdown_lines([list(lines[0]), *(list(line.values()) for line in lines)])}")
    return "\n".join(parts)


def start_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Which run it is, by column."""
    share = why_no_run(row) or f"{row['share of the published steps']:.1%}"
    names = {"method": row["method"], "trained on": row["trained on"], "seed": str(row["seed"])}
    return names | {"share of the steps": f"failed: {row['failed']}" if "failed" in row else share}


def clusters(row: Mapping[str, Any]) -> dict[str, str]:
    """Columns of Table 4."""
    return of_the_run(row, OF_CLUSTERS) | {"seconds": f"{row['seconds']:.0f}" if "figures" in row else ""}


def samples_drawn(row: Mapping[str, Any]) -> dict[str, str]:
    """Columns of Table 5."""
    figures = row.get("figures", {})
    absent = why_no_run(row) or why_no_samples(figures)
    found, published = figures.get("samples", {}), paper(row)
    cells = {name: in_words(found.get(name), absent, published.get(name)) for name in OF_SAMPLES}
    return cells | {"L_GEN": {True: "yes", False: "no"}.get(figures.get("trained_with_gen"), "")}


def features(row: Mapping[str, Any]) -> dict[str, str]:
    """Columns of Tables 10 to 12."""
    cells, absent = of_the_run(row, OF_FEATURES), why_no_run(row) or "not available"
    for other in IMAGES:
        scores = row.get("figures", {}).get("auroc", {}).get(other, {})
        theirs = AUROC_ON_IMAGES.get((row["method"], row["trained on"]), {}).get(other)
        for key in ON_IMAGES:
            text = in_words(scores.get(key), absent, theirs if key == "gradient" else None)
            cells[f"{other}, {SCORES[key]}"] = "itself" if other == row["trained on"] else text
    return cells


def of_the_run(row: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, str]:
    """Figures that every run has."""
    figures, published, absent = row.get("figures", {}), paper(row), why_no_run(row)
    return {label: in_words(figures.get(key), absent, published.get(key)) for key, label in labels.items()}


def paper(row: Mapping[str, Any]) -> dict[str, float]:
    """What the paper reports."""
    return FIGURES_ON_IMAGES.get((row["method"], row["trained on"]), {})


def in_words(ours: float | None, absent: str, paper: float | None) -> str:
    """A cell."""
    return (absent if ours is None else f"{ours:.3f}") + ("" if paper is None else f" (paper: {paper:g})")


def why_no_run(row: Mapping[str, Any]) -> str:
    """Why a row has no figures, or nothing."""
    return "" if "figures" in row else "failed" if "failed" in row else "not run"


def why_no_samples(figures: Mapping[str, Any]) -> str:
    """Why a run that was evaluated lacks a figure of its samples."""
    if "samples" in figures:
        return "other features"  # Inception's, or the classifier's
    return "failed" if "samples_failed" in figures else "none drawn"


if __name__ == "__main__":
    main()
