"""The paper's Table 6, MNIST addition: every method, 100, 1000 and 10000 examples, the paper's figures beside ours.

    python experiments/table6.py --set sampler.engine=numba
    python experiments/table6.py --methods gedi+nesy,nesy --examples 100 --jobs 1
    python experiments/table6.py --only-write
    python experiments/table6.py --name table6-family --methods infonce+nesy,vicreg+nesy,protocpc+nesy --seeds 3

Each run has a folder in --runs, where a finished one is kept and a stopped one resumed: the table can be trained in
pieces, and the same command again goes on with its piece. After each piece, or when stopped, the files
experiments/results/table6.json, .csv, .md and .png are written from all runs that are finished; what is not is empty.
With --name they have that name, and the table is of these methods and sizes alone, any method beside a rule.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click
from common import RESULTS, Script, command, runs_option, settings_option

from gedi_nesy.cli.shared import Commas, Method
from gedi_nesy.methods import WITH_RULE
from gedi_nesy.nesy.compare import compare, gather, plan_cells, read_config
from gedi_nesy.report.comparison import text_table, write_comparison
from gedi_nesy.report.comparison.progress import describe
from gedi_nesy.report.words import compared
from gedi_nesy.runs.compare.scheduler import Progress, Stopped, changed_settings
from gedi_nesy.runs.compare.trial import Cell, Outcome, read_outcome

METHODS = ("gedi+nesy", "paper", "gedi", "nesy", "swav+nesy", "barlow+nesy")
SIZES = (100, 1000, 10000)
NAME = "table6"


@click.command(cls=Script)
@click.option("--methods", type=Commas(Method(WITH_RULE)), default=",".join(METHODS), show_default=True)
@click.option("--examples", type=Commas(click.INT), default="100,1000,10000", show_default=True)
@click.option("--seeds", default=5, show_default=True, help="How many; of the whole table.")
@click.option("--first-seed", default=320, show_default=True, help="The recipes were made on other seeds.")
@click.option("--jobs", type=int, help="Runs at a time.  [default: one a core]")
@settings_option
@runs_option("runs/table6")
@click.option("--name", default=NAME, show_default=True, help="Of the result; with another it is a table of its own.")
@click.option("--only-write", is_flag=True, help="Train nothing.")
def main(
    methods: tuple[str, ...],
    examples: tuple[int, ...],
    seeds: int,
    first_seed: int,
    jobs: int | None,
    settings: dict[str, Any],
    runs: Path,
    name: str,
    only_write: bool,
) -> None:
    """Train a piece of the table, then write all of it."""
    mnist, which = {"dataset": "mnist"}, range(first_seed, first_seed + seeds)
    strangers = [method for method in methods if method not in METHODS]
    if name == NAME and strangers:
        raise click.UsageError(f"The paper's table has no {', '.join(strangers)}; give yours a --name.")
    table = plan_cells(METHODS, SIZES, which, mnist) if name == NAME else plan_cells(methods, examples, which, mnist)
    typed = command("--only-write")
    try:
        if not only_write:
            piece = plan_cells(methods, examples, which, mnist | settings)
            compare(piece, runs, typed, jobs=jobs, watch=show)
    except Stopped as stopped:
        sys.exit(f"Stopped with {stopped}; go on with the same command.")
    finally:
        write(RESULTS / name, table, runs, typed)


def write(path: Path, table: list[Cell], runs: Path, typed: str) -> None:
    """The table from what is finished, and in which settings it departs from the recipes."""
    outcomes = [read_outcome(cell, runs) for cell in table]
    comparison = gather(outcomes)
    about = {
        "command": typed,
        "settings unlike the recipes, with the number of runs": departures(outcomes, runs),
        "finished": f"{sum(outcome.summary is not None for outcome in outcomes)} of {len(table)} runs",
    }
    write_comparison(path, comparison, about)
    print(text_table(comparison))


def departures(outcomes: list[Outcome], runs: Path) -> dict[str, int]:
    """The settings of finished runs that are not their recipe's, each with the number of runs."""
    found: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.summary:
            old = read_config(runs / outcome.cell.name / "config.toml")
            found.update(f"{key} = {was}" for key, (was, _) in changed_settings(old, outcome.cell.config).items())
    return dict(found)


def show(progress: Progress) -> None:
    """A line for each run that ends."""
    line = describe(progress.outcome, compared("rule")) if progress.outcome else "start"
    left = "" if progress.seconds_left is None else f", about {progress.seconds_left / 60:.0f} min left"
    print(f"{line}  ({progress.done} of {progress.total} done{left})", flush=True)


if __name__ == "__main__":
    main()
