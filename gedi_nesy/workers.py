"""Where the cells of a comparison are trained: in processes here, one alone after another was killed, or on Dask."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from functools import partial
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

from gedi_nesy.cells import Cell, Outcome, Train, note_killed, train_cell
from gedi_nesy.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

TrainAll = Callable[[Sequence[Cell], Path, Train], Iterator[Outcome]]


@contextlib.contextmanager
def workers(jobs: int | None, cluster: str | None) -> Iterator[tuple[int, TrainAll]]:
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


def _train_here(cells: Sequence[Cell], out: Path, train: Train) -> Iterator[Outcome]:
    """Train cells with joblib, and after a process was killed one at a time; their outcomes in the order they end."""
    calls = (joblib.delayed(train_cell)(cell, out, train) for cell in cells)
    with _on_signal(signal.SIGINT, signal.SIG_IGN):  # the processes inherit it: Ctrl-C is for this one
        ended: Iterator[Outcome] = joblib.Parallel(return_as="generator_unordered", batch_size=1)(calls)
    told = set()
    with contextlib.suppress(TerminatedWorkerError):  # it ends all, and does not say whose process was killed
        for outcome in ended:
            told.add(outcome.cell)
            yield outcome
    for cell in cells:
        if cell not in told:
            yield _train_alone(cell, out, train)


def _train_alone(cell: Cell, out: Path, train: Train) -> Outcome:
    """Train a cell in a new process while nothing else trains; if that is killed, the cell has failed."""
    processes = ProcessPoolExecutor(1, env=ONE_THREAD)
    try:
        with _on_signal(signal.SIGINT, signal.SIG_IGN):
            ended = processes.submit(train_cell, cell, out, train)
        outcome: Outcome = ended.result()
        return outcome
    except TerminatedWorkerError:
        return note_killed(cell, out)
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
            future = client.submit(train_cell, cell, out, train, pure=False)
            cell_of[future] = cell
            running.add(future)

    try:
        send()
        for future in running:
            try:
                outcome = future.result()
            except KilledWorker:
                outcome = note_killed(cell_of[future], out)
            yield outcome
            send()
    except (CancelledError, CommClosedError, TimeoutError) as error:
        raise UserError("The Dask scheduler was lost; start it again, and the same command goes on.") from error


@contextlib.contextmanager
def ended_by_a_stop() -> Iterator[None]:
    """Inside, SIGTERM is a KeyboardInterrupt, and before one leaves, from Ctrl-C too, the processes here are ended."""
    with _on_signal(signal.SIGTERM, _stop_once):
        try:
            yield
        except KeyboardInterrupt:
            # a second signal would cut joblib's own ending short
            with _on_signal(signal.SIGTERM, signal.SIG_IGN), _on_signal(signal.SIGINT, signal.SIG_IGN):
                get_reusable_executor().shutdown(kill_workers=True)
            raise


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
