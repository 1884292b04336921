"""Comparing methods: many runs under one folder, in parallel; each is kept, resumed, or reported where it failed."""

import contextlib
import signal
import statistics
import threading
import tomllib
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

from gedi_nesy.errors import UserError
from gedi_nesy.runs import RunFolder, write_atomically

if TYPE_CHECKING:
    from distributed import Client

IN_WORDS = {"about"}  # entries of a config.toml that describe a run and set nothing
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
KILLED = (
    "The process that trained it was killed, most often for lack of memory; the same command tries it again, smaller "
    "settings (--set) need another folder (--out)."
)


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
TrainAll = Callable[[Sequence[Cell], Path, Train], Iterator["Outcome"]]


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
        jobs: processes at a time; by default one a core. A single one is this process.
        cluster: the address of a Dask scheduler whose workers train, instead of processes here. While it has no worker
            left, cells wait for a new one.
        watch: told once at the start, and after every cell.

    Returns:
        The outcome of each cell. One that failed does not stop the rest, and is tried again by the next call. Once a
        process here was killed, what is not finished goes on one cell at a time, each in a new process, so that a cell
        whose process is killed again has failed and the others finish. On a cluster a cell has failed when so many of
        its workers died as the scheduler's setting `distributed.scheduler.allowed-failures` says, and one more.

    Raises:
        UserError: if the folder can't be written or holds the same cells with other settings, or the scheduler is lost.
        Stopped: on Ctrl-C or SIGTERM; runs in other processes are resumed from their last checkpoint by the next call,
            those on a cluster can't be interrupted and end there.
    """
    out = out.absolute()
    _make_folder(out)
    _check_settings(cells, out, read_config)
    outcomes = {cell.name: read_outcome(cell, out) for cell in cells}
    todo = [cell for cell in cells if not (out / cell.name / "summary.json").is_file()]
    outcomes |= {cell.name: Outcome(cell) for cell in todo}  # an old failure is tried again

    def take(ended: Iterable[Outcome], workers: int) -> None:
        for outcome in ended:
            outcomes[outcome.cell.name] = outcome
            watch(_progress(outcome, outcomes.values(), workers))

    with _on_signal(signal.SIGTERM, _stop_once), _workers(jobs, cluster) as (workers, train_all):
        watch(_progress(None, outcomes.values(), workers))
        try:
            with contextlib.suppress(TerminatedWorkerError):  # it ends all, and does not say whose process was killed
                take(train_all(todo, out, train), workers)
            take((_train_alone(cell, out, train) for cell in todo if outcomes[cell.name].is_open), 1)
        except KeyboardInterrupt as interrupt:
            with _on_signal(signal.SIGTERM, signal.SIG_IGN), _on_signal(signal.SIGINT, signal.SIG_IGN):
                get_reusable_executor().shutdown(kill_workers=True)  # a second signal cuts joblib's own ending short
            raise Stopped(_stand(cells, out)) from interrupt
    return list(outcomes.values())


def read_outcome(cell: Cell, out: Path) -> Outcome:
    """What has become of a cell so far, read from the folder of the comparison."""
    folder, failure = RunFolder(out / cell.name), _failure_file(cell, out)
    if (folder / "summary.json").is_file():
        try:
            return Outcome(cell, summary=folder.read_json("summary.json"))
        except UserError as damaged:
            return Outcome(cell, failure=str(damaged))
    return Outcome(cell, failure=failure.read_text(encoding="utf-8").split("\n")[0] if failure.is_file() else None)


def _train_here(cells: Sequence[Cell], out: Path, train: Train) -> Iterator[Outcome]:
    """Train cells with joblib; their outcomes in the order in which they end."""
    calls = (joblib.delayed(_run_cell)(cell, out, train) for cell in cells)
    with _on_signal(signal.SIGINT, signal.SIG_IGN):  # the processes inherit it: Ctrl-C is for this one
        ended: Iterator[Outcome] = joblib.Parallel(return_as="generator_unordered", batch_size=1)(calls)
    return ended


def _train_alone(cell: Cell, out: Path, train: Train) -> Outcome:
    """Train a cell in a new process while nothing else trains; if that is killed, the cell has failed."""
    processes = ProcessPoolExecutor(1, env=ONE_THREAD)
    try:
        with _on_signal(signal.SIGINT, signal.SIG_IGN):
            ended = processes.submit(_run_cell, cell, out, train)
        outcome: Outcome = ended.result()
        return outcome
    except TerminatedWorkerError:
        return _killed(cell, out)
    finally:
        processes.shutdown(kill_workers=True)


def _train_on_cluster(client: "Client", cells: Sequence[Cell], out: Path, train: Train) -> Iterator[Outcome]:
    """Train cells on Dask; not through joblib, which waits for ever for a cell whose worker died.

    No more cells are sent than there are workers: Dask holds a worker's death against all that wait for it.
    """
    from distributed import Future, KilledWorker, as_completed
    from distributed.comm import CommClosedError

    waiting, running = iter(cells), as_completed([], loop=client.loop)
    cell_of: dict[Future, Cell] = {}

    def send() -> None:
        free = max(len(client.nthreads()), 1) - running.count()
        for cell in islice(waiting, max(free, 0)):
            future = client.submit(_run_cell, cell, out, train, pure=False)
            cell_of[future] = cell
            running.add(future)

    try:
        send()
        for future in running:
            try:
                outcome = future.result()
            except KilledWorker:
                outcome = _killed(cell_of[future], out)
            yield outcome
            send()
    except (CancelledError, CommClosedError, TimeoutError) as error:
        raise UserError("The Dask scheduler was lost; start it again, and the same command goes on.") from error


def _killed(cell: Cell, out: Path) -> Outcome:
    """Write down that a cell failed since its process was killed, which could not do so itself."""
    if read_outcome(cell, out).is_open:  # else it had just ended
        write_atomically(_failure_file(cell, out), f"{KILLED}\n".encode())
    return read_outcome(cell, out)


def _run_cell(cell: Cell, out: Path, train: Train) -> Outcome:
    """Train a cell in this process; whatever goes wrong with it is written down beside its folder."""
    failure = _failure_file(cell, out)
    failure.unlink(missing_ok=True)
    try:
        if read_outcome(cell, out).is_open:  # else it had ended when its process was killed
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


def _stop_once(number: int, frame: FrameType | None) -> None:
    """KeyboardInterrupt at the first signal; a second one must not cut short what the first one ends."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


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
def _workers(jobs: int | None, cluster: str | None) -> Iterator[tuple[int, TrainAll]]:
    """How many cells are trained at a time, and what trains them: processes of one thread here, or a Dask cluster."""
    if cluster is None:
        jobs = jobs or joblib.cpu_count()
        with joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
            yield jobs, _train_here
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError("A Dask cluster needs the package distributed: pip install 'gedi-nesy[cluster]'.") from error
    try:
        client = Client(cluster, set_as_default=False, timeout=15)
    except (OSError, ValueError) as error:
        raise UserError(f"No Dask scheduler answers at {cluster!r}; start one with `dask scheduler`.") from error
    with client:
        threads = client.nthreads()
        if not threads or max(threads.values()) > 1:
            raise UserError(
                f"The Dask cluster at {cluster} needs workers of one thread each, since runs in one process would "
                f"disturb each other; start them with `dask worker {cluster} --nthreads 1`."
            )
        yield len(threads), partial(_train_on_cluster, client)
