"""Comparing the methods of the vision track, on several data sets and seeds."""

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gedi_nesy.data import DATASETS, TOYS
from gedi_nesy.errors import UserError
from gedi_nesy.report.comparison import Comparison, write_comparison
from gedi_nesy.report.words import compared
from gedi_nesy.runs.compare.comparison import refuse_own, run_comparison, train_or_resume
from gedi_nesy.runs.compare.scheduler import Progress
from gedi_nesy.runs.compare.trial import Cell, Outcome
from gedi_nesy.vision.evaluation import Evaluation
from gedi_nesy.vision.fidelity import torch_fidelity
from gedi_nesy.vision.published import NOISE, ON_IMAGES, TABLES_2_AND_3
from gedi_nesy.vision.recipe import Recipe, load_recipe, recipe_for
from gedi_nesy.vision.run import load_run
from gedi_nesy.vision.train import resume, settle, train

USUAL = Evaluation()
# settings that the comparison itself gives, and where they come from
OWN = {"method": "--methods", "recipe": "--methods", "dataset": "--datasets", "seed": "--seeds", "seeds": "--seeds"}


def plan_cells(
    methods: Iterable[str],
    datasets: Iterable[str],
    seeds: Iterable[int],
    overrides: Mapping[str, Any],
    *,
    published: bool = False,
    data_dir: Path | None = None,
) -> list[Cell]:
    """A cell for each method, data set and seed: all cells of the first seed, then of the next.

    Args:
        methods: of the vision track.
        datasets: toys, images by name, or paths of .npz files or image folders.
        seeds: of points, weights and noise.
        overrides: settings to change in every recipe, by dotted name.
        published: whether the recipes are the paper's, or ours.
        data_dir: where images are looked for first.

    Raises:
        UserError: for methods, settings or data that can't be used; nothing is written then.
    """
    methods, datasets = list(methods), list(datasets)
    refuse_own(overrides, OWN)
    _check_names(datasets)
    kinds = [(recipe_for(method, published, dataset), method, dataset) for method in methods for dataset in datasets]
    settled = {
        (method, dataset): settle(load_recipe(name, {**overrides, "dataset": dataset}), data_dir)
        for name, method, dataset in kinds
    }
    return [_cell(recipe.model_copy(update={"seed": seed})) for seed in seeds for recipe in settled.values()]


def compare(
    cells: Sequence[Cell],
    out: Path,
    command: str,
    *,
    evaluation: Evaluation = USUAL,
    data_dir: Path | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Comparison:
    """Train what is not finished, and write `out`/comparison.csv, .json, .md and .png, also when asked to stop.

    Runs on images are evaluated in full.

    Args:
        cells: from `plan_cells`.
        out: a folder with a run folder for each cell.
        command: what was typed, for the record.
        evaluation: of the runs on images; evaluations with other settings stay beside it.
        data_dir: where images are looked for first.
        jobs: processes at a time; by default one a core.
        cluster: the address of a Dask scheduler whose workers train, instead of processes here.
        watch: told once at the start, and after every cell.

    Raises:
        UserError: if the folder or what the evaluation needs can't be used, or the cluster's scheduler is lost.
        Stopped: on Ctrl-C or SIGTERM.
    """
    if evaluation != USUAL and not any(map(_is_on_images, cells)):
        raise UserError("--samples, --inception and --against are for images, which no data set here has.")
    evaluation.check(data_dir)
    if evaluation.samples != 0 and any(map(_is_on_images, cells)):
        torch_fidelity("metric_prc")  # so that a missing file is reported before hours of training
    cells = [replace(cell, result=evaluation.file) if _is_on_images(cell) else cell for cell in cells]
    about = {"command": command} | ({"evaluation": evaluation.how} if any(map(_is_on_images, cells)) else {})

    def record(outcomes: Sequence[Outcome]) -> Comparison:
        comparison = gather(outcomes, evaluation)
        write_comparison(out / "comparison", comparison, about)
        return comparison

    work = partial(train_cell, evaluation=evaluation, data_dir=data_dir)
    return run_comparison(cells, out, work, read_config, record, jobs=jobs, cluster=cluster, watch=watch)


def gather(outcomes: Sequence[Outcome], evaluation: Evaluation = USUAL) -> Comparison:
    """The outcomes with the paper's figures; on toys only if every run had the paper's noise and scale."""
    configs = [tomllib.loads(outcome.cell.config) for outcome in outcomes]
    kinds = {"images" if _is_on_images(outcome.cell) else "points" for outcome in outcomes}
    figures = compared(*kinds)
    as_published = {config["data_noise"] for config in configs} == {NOISE}
    published = ON_IMAGES | (TABLES_2_AND_3 if as_published else {})
    if "images" not in kinds:
        return Comparison(outcomes, "dataset", figures, published)
    features, scores = compared("features") | evaluation.of_samples, evaluation.of_scores
    tables = {"Clusters and training": figures, "Features and samples": features, "AUROC against": scores}
    shown = {title: list(keys) for title, keys in tables.items() if keys}
    return Comparison(outcomes, "dataset", figures | features | scores, published, shown)


def train_cell(cell: Cell, folder: Path, evaluation: Evaluation, data_dir: Path | None = None) -> None:
    """Train a cell in its folder, or resume it; then evaluate it, if it is on images."""
    train_or_resume(cell, folder, partial(train, data_dir=data_dir), partial(resume, data_dir=data_dir))
    if _is_on_images(cell):
        evaluation(load_run(folder, tomllib.loads(cell.config)["device"]), data_dir)


def read_config(config: Path) -> str:
    """The complete TOML of a run's config.toml."""
    return load_recipe(str(config)).to_toml()


def _check_names(datasets: Sequence[str]) -> None:
    """The name of a data set, for a file its stem, by which a run's folder and the paper's figures are looked up."""
    for dataset in datasets:
        for other in (*TOYS, *DATASETS, *datasets):
            if other != dataset and Path(other).stem == Path(dataset).stem:
                raise UserError(f"{dataset} and {other} would have one name in a comparison; rename the file.")


def _cell(recipe: Recipe) -> Cell:
    dataset = Path(recipe.dataset).stem
    return Cell(f"{recipe.recipe}-{dataset}-seed{recipe.seed}", recipe.method, dataset, recipe.seed, recipe.to_toml())


def _is_on_images(cell: Cell) -> bool:
    return tomllib.loads(cell.config)["track"] == "images"
