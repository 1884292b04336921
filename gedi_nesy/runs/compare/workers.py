"""Where the cells of a comparison are trained: each in a process of its own here, or on Dask."""

import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from functools import partial
from itertools import islice
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import joblib

from gedi_nesy.errors import UserError
from gedi_nesy.runs.compare.trial import Cell, Outcome, Train, note_killed, read_outcome, train_cell

if TYPE_CHECKING:
    from distributed import Client

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

STOPPED = 75  # exit status of a process whose run was asked to stop
Outcomes = Generator[Outcome, None, None]  # whoever leaves before its end must close it
TrainAll = Callable[[Sequence[Cell], Path, Train], Outcomes]


@contextlib.contextmanager
def workers(jobs: int | None, cluster: str | None) -> Iterator[tuple[int, TrainAll]]:
    """How many cells train at a time, and who trains them: processes of one thread here, or a Dask cluster."""
    if cluster is None:
        jobs = jobs or joblib.cpu_count()
        yield jobs, _train_in_turn if jobs == 1 else partial(_train_here, jobs)
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError("A Dask cluster needs the package distributed: pip install 'gedi-nesy[cluster]'.") from error
    gc.collect()  # a client that failed closes when it is collected; while another one starts, both would wait forever
    try:
        client = Client(cluster, set_as_default=False, timeout=15)
    except Exception as error:  # distributed raises whatever the bytes of another kind of server make it raise
        raise UserError(f"No Dask scheduler answers at {cluster!r}; start one with `dask scheduler`.") from error
    with client:
        threads = client.nthreads()
        if not threads or max(threads.values()) > 1:
            raise UserError(
                f"The Dask cluster at {cluster} needs workers of one thread each, since runs in one process would "
                f"disturb each other; start them with `dask worker {cluster} --nthreads 1`."
            )
        yield len(threads), partial(_train_on_cluster, client)


def _train_in_turn(cells: Sequence[Cell], out: Path, train: Train) -> Outcomes:
    """Train cells in this process, one after the other."""
    for cell in cells:
        yield train_cell(cell, out, train)


def _train_here(jobs: int, cells: Sequence[Cell], out: Path, train: Train) -> Outcomes:
    """Train each cell in a process of its own, one at a time once a process was killed; the outcomes in their order.

    The process that the system kills for lack of memory need not be the one that took it: all cells that were running
    are tried again, and a cell that is killed alone has failed.
    """
    waiting, running = list(cells), dict[Cell, SpawnProcess]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.pop(0)
                running[cell] = _start(cell, out, train)
            wait([process.sentinel for process in running.values()])
            for cell, code in {cell: process.exitcode for cell, process in running.items()}.items():
                if code == STOPPED:
                    raise KeyboardInterrupt
                if code == 0 or (code is not None and jobs == 1):
                    running.pop(cell).join()
                    yield note_killed(cell, out) if code else read_outcome(cell, out)
            if any(process.exitcode for process in running.values()):  # killed
                waiting = [cell for cell in cells if cell in running or cell in waiting]
                jobs = 1
                _end(running)
    finally:
        _end(running)


def _start(cell: Cell, out: Path, train: Train) -> SpawnProcess:
    """A new process of one thread that trains a cell."""
    process = get_context("spawn").Process(target=_train_and_exit, args=(cell, out, train))
    with _on_signal(signal.SIGINT, signal.SIG_IGN), _environment(ONE_THREAD):  # Ctrl-C is for this process
        process.start()
    return process


def _train_and_exit(cell: Cell, out: Path, train: Train) -> None:
    """Train a cell in this process, which ends with its parent, however the parent ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        train_cell(cell, out, train)
    except KeyboardInterrupt:
        sys.exit(STOPPED)
    except OSError:  # the failure could not even be written down
        sys.exit(1)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # a run goes on from its last checkpoint


def _end(running: dict[Cell, SpawnProcess]) -> None:
    """End processes; a second signal must not cut that short."""
    with _on_signal(signal.SIGTERM, signal.SIG_IGN), _on_signal(signal.SIGINT, signal.SIG_IGN):
        for process in running.values():
            process.kill()
            process.join()
        running.clear()


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Inside, processes that are started have these environment variables."""
    before = {name: os.environ.pop(name) for name in variables if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(before)


def _train_on_cluster(client: "Client", cells: Sequence[Cell], out: Path, train: Train) -> Outcomes:
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
def stopped_by_sigterm() -> Iterator[None]:
    """Inside, SIGTERM is a KeyboardInterrupt, as Ctrl-C is."""
    with _on_signal(signal.SIGTERM, _stop_once):
        yield


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
