"""Comparing the methods of the neuro-symbolic track, on several numbers of examples and seeds."""

import tomllib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gedi_nesy.nesy.published import TABLE_6
from gedi_nesy.nesy.recipe import Recipe, load_recipe, recipe_for
from gedi_nesy.nesy.train import Notify, resume, settle, train
from gedi_nesy.report.comparison import Comparison, write_comparison
from gedi_nesy.report.words import compared
from gedi_nesy.runs.compare.comparison import refuse_own, run_comparison, train_or_resume
from gedi_nesy.runs.compare.scheduler import Progress
from gedi_nesy.runs.compare.trial import Cell, Outcome

# settings that the comparison itself gives, and where they come from
OWN = {
    "method": "--methods",
    "recipe": "--methods",
    "examples": "--examples",
    "seed": "--seeds",
    "data": "--dataset",
}
# `gedi+nesy` is the paper's method with our recipe: it stands beside the same figures
PUBLISHED = TABLE_6 | {("gedi+nesy", n): figures for (method, n), figures in TABLE_6.items() if method == "paper"}


def plan_cells(
    methods: Iterable[str],
    examples: Iterable[int],
    seeds: Iterable[int],
    overrides: Mapping[str, Any],
    *,
    data_dir: Path | None = None,
    notify: Notify = warnings.warn,
) -> list[Cell]:
    """A cell for each method, number of examples and seed: all cells of the first seed, then of the next.

    Args:
        methods: of the neuro-symbolic track.
        examples: numbers of training examples.
        seeds: of examples, weights and noise.
        overrides: settings to change in every recipe, by dotted name; without "dataset" it is MNIST where it can be
            had, otherwise scikit-learn's digits.
        data_dir: where data sets lie.
        notify: told what a user must know, for example that digits stand in for MNIST.

    Raises:
        UserError: for methods, settings or data that can't be used; nothing is written then.
    """
    methods, examples = list(methods), list(examples)
    refuse_own(overrides, OWN)
    names = {(method, n): recipe_for(method, n) for method in methods for n in examples}
    most = max(names, key=lambda kind: kind[1])  # if there is data for these examples, there is for all
    recipe = load_recipe(names[most], {**overrides, "examples": most[1]})
    settled = settle(recipe, data_dir=data_dir, notify=notify)
    shared = {**overrides, "dataset": settled.dataset, "program": settled.program}
    shared |= {"network": settled.network} if settled.network else {}
    return [
        _cell(method, load_recipe(name, shared | {"examples": n, "seed": seed}))
        for seed in seeds
        for (method, n), name in names.items()
    ]


def compare(
    cells: Sequence[Cell],
    out: Path,
    command: str,
    *,
    data_dir: Path | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Comparison:
    """Train what is not finished, and write `out`/comparison.csv, .json, .md and .png, also when asked to stop.

    Args:
        cells: from `plan_cells`.
        out: a folder with a run folder for each cell.
        command: what was typed, for the record.
        data_dir: where data sets lie.
        jobs: processes at a time; by default one a core.
        cluster: the address of a Dask scheduler whose workers train, instead of processes here.
        watch: told once at the start, and after every cell.

    Raises:
        UserError: if the folder can't be used, or the cluster's scheduler is lost.
        Stopped: on Ctrl-C or SIGTERM.
    """

    def record(outcomes: Sequence[Outcome]) -> Comparison:
        comparison = gather(outcomes)
        write_comparison(out / "comparison", comparison, {"command": command})
        return comparison

    work = partial(train_cell, data_dir=data_dir and data_dir.absolute())
    return run_comparison(cells, out, work, read_config, record, jobs=jobs, cluster=cluster, watch=watch)


def gather(outcomes: Sequence[Outcome]) -> Comparison:
    """The outcomes beside what the paper reports, where they are of MNIST addition, the paper's task."""
    task = tomllib.loads(outcomes[0].cell.config)
    published = PUBLISHED if (task["dataset"], task["program"]) == ("mnist", "addition") else {}
    return Comparison(outcomes, "examples", compared("rule"), published)


def train_cell(cell: Cell, folder: Path, data_dir: Path | None = None) -> None:
    """Train a cell in its folder, or resume it."""
    shared: dict[str, Any] = {"data_dir": data_dir, "progress": False}
    shared["notify"] = lambda text: None  # plan_cells has said it, for all cells
    trust = tomllib.loads(cell.config)["trust"]
    train_or_resume(cell, folder, partial(train, **shared), partial(resume, trust=trust, **shared))


def read_config(config: Path) -> str:
    """The complete TOML of a run's config.toml, as it was before its data said what the networks read."""
    return load_recipe(str(config)).model_copy(update={"inputs": {}}).to_toml()


def _cell(method: str, recipe: Recipe) -> Cell:
    name = f"{method}-{Path(str(recipe.dataset)).stem}-{recipe.examples}-seed{recipe.seed}"
    return Cell(name, method, recipe.examples, recipe.seed, recipe.to_toml())
