"""A comparison of either track: the settings it refuses, the training of a cell, and the record of all outcomes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from gedi_nesy.errors import UserError
from gedi_nesy.runs.callbacks import Interrupted
from gedi_nesy.runs.compare.scheduler import Stopped, run_cells
from gedi_nesy.runs.compare.trial import Cell, Outcome, Train, read_outcome

Recorded = TypeVar("Recorded")


def refuse_own(overrides: Mapping[str, Any], own: Mapping[str, str]) -> None:
    """UserError where a setting is changed that the comparison itself gives, by the option that `own` says."""
    for key, option in own.items():
        if key in overrides:
            raise UserError(f"--set {key} has no place in a comparison; use {option}.")


def train_or_resume(cell: Cell, folder: Path, train: Callable[..., object], resume: Callable[[Path], object]) -> None:
    """Train a cell in its folder, or continue it there, unless it is finished.

    Args:
        cell: whose complete settings `train` gets.
        folder: of its run.
        train: takes a recipe's path, and the folder as `out`.
        resume: takes the folder.

    Raises:
        KeyboardInterrupt: when a stop was asked for; the state is saved.
    """
    try:
        if not (folder / "config.toml").is_file():
            with TemporaryDirectory() as place:  # the settings are complete, whatever recipes they were made of
                recipe = Path(place) / "config.toml"
                recipe.write_text(cell.config)
                train(str(recipe), out=folder)
        elif not (folder / "summary.json").is_file():
            resume(folder)
    except Interrupted as stopped:
        raise KeyboardInterrupt from stopped


def run_comparison(
    cells: Sequence[Cell],
    out: Path,
    train: Train,
    read_config: Callable[[Path], str],
    record: Callable[[Sequence[Outcome]], Recorded],
    **how: Any,
) -> Recorded:
    """Train what is not finished, and record the outcomes, also when asked to stop.

    Args:
        cells: the track's plan.
        out: a folder with a run folder for each cell.
        train: trains a cell in its folder.
        read_config: gives the complete TOML of a run's config.toml.
        record: writes a summary of the outcomes, and returns it.
        how: `jobs`, `cluster` and `watch` of `scheduler.run_cells`.

    Raises:
        UserError, Stopped: as `scheduler.run_cells`.
    """
    try:
        outcomes = run_cells(cells, out, train, read_config, **how)
    except Stopped:
        record([read_outcome(cell, out) for cell in cells])
        raise
    return record(outcomes)
