"""Comparing methods: many runs under one folder, in parallel; each is kept, resumed, or reported where it failed."""

import statistics
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gedi_nesy.errors import UserError
from gedi_nesy.runs.compare.trial import Cell, Outcome, Train, read_outcome
from gedi_nesy.runs.compare.workers import stopped_by_sigterm, workers
from gedi_nesy.runs.dotted import flatten

IN_WORDS = {"about"}  # entries of a config.toml that describe a run and set nothing

ReadConfig = Callable[[Path], str]


class Stopped(Exception):
    """The comparison was asked to stop; what is not finished can be resumed."""


@dataclass(frozen=True)
class Progress:
    """The progress of a comparison.

    Attributes:
        outcome: the cell that has just ended, or None at the start.
        done: cells that are finished or failed, in this call or an earlier one.
        total: cells of the comparison.
        seconds_left: an estimate from the cells finished so far; None before there is one.
    """

    outcome: Outcome | None
    done: int
    total: int
    seconds_left: float | None


def run_cells(
    cells: Sequence[Cell],
    out: Path,
    train: Train,
    read_config: ReadConfig,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> list[Outcome]:
    """Train every cell that is not finished, each in its own run folder `out / cell.name`.

    Args:
        cells: what to train, in this order.
        out: the folder of the comparison; on a cluster it must be one that all its workers see.
        train: trains a cell in its folder, or resumes it where there is a config.toml; must be picklable, and raise
            KeyboardInterrupt when it was asked to stop.
        read_config: the complete TOML of a config.toml, with a value for every setting that there is now.
        jobs: processes at a time; by default one a core. A single one is this process.
        cluster: the address of a Dask scheduler whose workers train, instead of processes here. While it has no worker
            left, cells wait for a new one.
        watch: told once at the start, and after every cell.

    Returns:
        The outcome of each cell. A failed cell does not stop the rest, and the next call tries it again. Once a process
        here was killed, the other cells go on one at a time, each in a new process; a cell whose process is killed
        again has failed, and the rest finishes. On a cluster a cell has failed when more of its workers died than the
        scheduler's setting `distributed.scheduler.allowed-failures` allows.

    Raises:
        UserError: if the folder can't be written or holds the same cells with other settings, or the scheduler is lost.
        Stopped: on Ctrl-C or SIGTERM; runs in other processes are resumed from their last checkpoint by the next call,
            those on a cluster can't be interrupted and end there.

    A process here ends with this one, however that ends.
    """
    out = out.absolute()
    _make_folder(out)
    _check_settings(cells, out, read_config)
    outcomes = {cell.name: read_outcome(cell, out) for cell in cells}
    todo = [cell for cell in cells if not (out / cell.name / cell.result).is_file()]
    outcomes |= {cell.name: Outcome(cell) for cell in todo}  # an old failure is tried again

    try:
        with stopped_by_sigterm(), workers(jobs, cluster) as (at_a_time, train_all):
            watch(_progress(None, outcomes.values(), at_a_time))
            with closing(train_all(todo, out, train)) as ended:
                for outcome in ended:
                    outcomes[outcome.cell.name] = outcome
                    watch(_progress(outcome, outcomes.values(), at_a_time))
    except KeyboardInterrupt as interrupt:
        raise Stopped(_stand(cells, out)) from interrupt
    return list(outcomes.values())


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise UserError(f"Can't write to the folder {out}: {error.strerror}; choose another with --out.") from error


def _check_settings(cells: Sequence[Cell], out: Path, read_config: ReadConfig) -> None:
    """Refuse a run folder whose settings are not the cell's."""
    for cell in cells:
        config = out / cell.name / "config.toml"
        changed = changed_settings(read_config(config), cell.config) if config.is_file() else {}
        for key, (old, new) in changed.items():
            raise UserError(
                f"{config.parent} holds a run with {key} = {old!r}, where this comparison has {new!r}; choose another "
                f"folder with --out, or give the settings it was started with."
            )


def changed_settings(old: str, new: str) -> dict[str, tuple[Any, Any]]:
    """The settings in which two config.toml differ, by dotted name: their old and new values, None where missing."""
    was, now = flatten(tomllib.loads(old)), flatten(tomllib.loads(new))
    settings = sorted(key for key in was | now if key not in IN_WORDS)
    return {key: (was.get(key), now.get(key)) for key in settings if was.get(key) != now.get(key)}


def _progress(outcome: Outcome | None, outcomes: Iterable[Outcome], workers: int) -> Progress:
    """Estimate the time left by finished cells of the same kind, or by the average of all where there is none yet."""
    outcomes = list(outcomes)
    took: dict[tuple[str, int | str], list[float]] = {}
    for done in outcomes:
        if done.summary:
            seconds = done.summary["seconds"] + done.summary.get("evaluation_seconds", 0.0)
            took.setdefault((done.cell.method, done.cell.on), []).append(seconds)
    todo = [(other.cell.method, other.cell.on) for other in outcomes if other.is_open]
    left = None
    if took:
        average = statistics.mean(seconds for kind in took.values() for seconds in kind)
        left = sum(statistics.mean(took.get(kind, [average])) for kind in todo) / min(workers, max(len(todo), 1))
    return Progress(outcome, len(outcomes) - len(todo), len(outcomes), left)


def _stand(cells: Sequence[Cell], out: Path) -> str:
    finished = sum(read_outcome(cell, out).summary is not None for cell in cells)
    return f"{finished} of {len(cells)} runs finished"
