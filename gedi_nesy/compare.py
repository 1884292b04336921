"""Comparing methods: many runs under one folder, in parallel; each is kept, resumed, or reported where it failed."""

import contextlib
import signal
import statistics
import threading
import tomllib
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from gedi_nesy.errors import UserError
from gedi_nesy.runs import RunFolder, write_atomically

IN_WORDS = {"about"}  # entries of a config.toml that describe a run and set nothing


class Stopped(Exception):
    """The comparison was asked to stop; what is not finished can be resumed."""


@dataclass(frozen=True)
class Cell:
    """One run of a comparison.

    Attributes:
        name: of its run folder.
        method: what is compared.
        on: what it is trained on: a number of examples, or a data set.
        seed: of the run.
        config: its complete config.toml.
    """

    name: str
    method: str
    on: int | str
    seed: int
    config: str


Train = Callable[[Cell, Path], object]
ReadConfig = Callable[[Path], str]


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: its summary, or the sentence it failed with, or neither while it is not finished."""

    cell: Cell
    summary: Mapping[str, Any] | None = None
    failure: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the cell is still to be trained."""
        return self.summary is None and self.failure is None


@dataclass(frozen=True)
class Progress:
    """Where a comparison stands.

    Attributes:
        outcome: the cell that has just ended, or None at the start.
        done: cells that are finished or failed, the ones kept from before too.
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
        jobs: processes at a time; by default one a core.
        cluster: the address of a Dask scheduler whose workers train, instead of processes here.
        watch: told once at the start, and after every cell.

    Returns:
        The outcome of each cell. One that failed does not stop the rest, and is tried again by the next call.

    Raises:
        UserError: if the folder can't be written or holds the same cells with other settings, or the workers are lost.
        Stopped: on Ctrl-C or SIGTERM; runs in other processes are resumed from their last checkpoint by the next call,
            those on a cluster can't be interrupted and end there.
    """
    out = out.absolute()
    _make_folder(out)
    _check_settings(cells, out, read_config)
    outcomes = {cell.name: read_outcome(cell, out) for cell in cells}
    todo = [cell for cell in cells if outcomes[cell.name].summary is None]
    outcomes |= {cell.name: Outcome(cell) for cell in todo}  # an old failure is tried again
    with _on_signal(signal.SIGTERM, signal.default_int_handler), _workers(jobs, cluster) as workers:
        watch(_progress(None, outcomes.values(), workers))
        try:
            calls = (joblib.delayed(_run_cell)(cell, out, train) for cell in todo)
            with _on_signal(signal.SIGINT, signal.SIG_IGN):  # the processes inherit it: Ctrl-C is for this one
                ended = joblib.Parallel(return_as="generator_unordered", batch_size=1)(calls)
            for outcome in ended:
                outcomes[outcome.cell.name] = outcome
                watch(_progress(outcome, outcomes.values(), workers))
        except KeyboardInterrupt as interrupt:
            raise Stopped(_stand(cells, out)) from interrupt
        except TerminatedWorkerError as error:
            raise UserError(
                f"A process was killed, most often for lack of memory, with {_stand(cells, out)}; the same command "
                f"goes on, with a smaller --jobs if need be."
            ) from error
    return list(outcomes.values())


def read_outcome(cell: Cell, out: Path) -> Outcome:
    """What has become of a cell so far, read from the folder of the comparison."""
    folder, failure = RunFolder(out / cell.name), _failure_file(cell, out)
    if (folder / "summary.json").is_file():
        return Outcome(cell, summary=folder.read_json("summary.json"))
    return Outcome(cell, failure=failure.read_text(encoding="utf-8").split("\n")[0] if failure.is_file() else None)


def _run_cell(cell: Cell, out: Path, train: Train) -> Outcome:
    """Train a cell in this process; whatever goes wrong with it is written down beside its folder."""
    failure = _failure_file(cell, out)
    failure.unlink(missing_ok=True)
    try:
        train(cell, out / cell.name)
    except UserError as error:
        write_atomically(failure, f"{error}\n".encode())
    except Exception as error:  # a defect in one method must not cost the others
        sentence = f"{type(error).__name__}: {error} (the traceback is in {failure.name})".replace("\n", " ")
        write_atomically(failure, f"{sentence}\n\n{traceback.format_exc()}".encode())
    return read_outcome(cell, out)


def _failure_file(cell: Cell, out: Path) -> Path:
    return out / f"{cell.name}.failed.txt"


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / ".writable", b"")
        (out / ".writable").unlink()
    except OSError as error:
        raise UserError(f"Can't write to the folder {out}: {error.strerror}; choose another with --out.") from error


def _check_settings(cells: Sequence[Cell], out: Path, read_config: ReadConfig) -> None:
    """Refuse to take a run for a cell that has other settings."""
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
    was, now = _flat(tomllib.loads(old)), _flat(tomllib.loads(new))
    return {key: (was.get(key), now.get(key)) for key in sorted(was | now) if was.get(key) != now.get(key)}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by dotted name."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in IN_WORDS:
            flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def _progress(outcome: Outcome | None, outcomes: Iterable[Outcome], workers: int) -> Progress:
    """The time left is what cells of the same kind took, or where there is none yet, what cells take on average."""
    outcomes = list(outcomes)
    took: dict[tuple[str, int | str], list[float]] = {}
    for done in outcomes:
        if done.summary:
            took.setdefault((done.cell.method, done.cell.on), []).append(done.summary["seconds"])
    todo = [(other.cell.method, other.cell.on) for other in outcomes if other.is_open]
    left = None
    if took:
        average = statistics.mean(seconds for kind in took.values() for seconds in kind)
        left = sum(statistics.mean(took.get(kind, [average])) for kind in todo) / min(workers, max(len(todo), 1))
    return Progress(outcome, len(outcomes) - len(todo), len(outcomes), left)


def _stand(cells: Sequence[Cell], out: Path) -> str:
    finished = sum(read_outcome(cell, out).summary is not None for cell in cells)
    return f"{finished} of {len(cells)} runs finished"


@contextlib.contextmanager
def _on_signal(number: int, handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> Iterator[None]:
    """Handle a signal so inside; signals reach the main thread only, elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextlib.contextmanager
def _workers(jobs: int | None, cluster: str | None) -> Iterator[int]:
    """Where joblib sends the cells, and how many it trains at a time: processes of one thread, or a Dask cluster."""
    if cluster is None:
        jobs = jobs or joblib.cpu_count()
        with joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
            yield jobs
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError("A Dask cluster needs the package distributed: pip install 'gedi-nesy[cluster]'.") from error
    try:
        client = Client(cluster, set_as_default=False, timeout=15)
    except (OSError, ValueError) as error:
        raise UserError(f"No Dask scheduler answers at {cluster!r}; start one with `dask scheduler`.") from error
    with client, joblib.parallel_config("dask", client=client, n_jobs=-1):
        threads = client.nthreads()
        if not threads or max(threads.values()) > 1:
            raise UserError(
                f"The Dask cluster at {cluster} needs workers of one thread each, since runs in one process would "
                f"disturb each other; start them with `dask worker {cluster} --nthreads 1`."
            )
        yield len(threads)
