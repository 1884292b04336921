"""Limits time and memory of code that offers no place to check them, such as ProbLog's grounder, in a child process.

The child is forked, so that it starts in milliseconds with all modules loaded, and hands its result back pickled.
Where there is no fork, as on Windows, the code runs in this process, without limits.
"""

import contextlib
import gc
import io
import os
import pickle
import selectors
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, NoReturn, TypeVar

from gedi_nesy.errors import UserError

T = TypeVar("T")

MEMORY = 3 * 2**29  # bytes that the child may take beyond what it shares with its parent
GRACE = 2.0  # seconds for a child whose time is up to say how far it came
PATIENCE = 30  # times its budget that a child may take by the clock: a busy machine gives it less than a processor
POLL = 0.1  # seconds between two looks whether the child still lives
AGAIN = 0.2  # seconds after which an exception that got lost, as in a finaliser, is raised again

_is_child = False
_forking = threading.Lock()  # filelock, where it is loaded, refuses a fork during another one


class TimeIsUp(BaseException):
    """Raised inside the running code; a BaseException, so that no `except Exception` on the way swallows it."""


class ChildDied(Exception):
    """The child ended without a result: it crashed, or was killed."""


class OutOfBudget(UserError):
    """What was asked for takes more time or memory than its budget."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """In a child process, run the body for at most so many seconds of CPU time; elsewhere, run it.

    Single calls into C are not stopped. What else runs on the machine makes no difference.

    Raises:
        TimeIsUp: the body ran longer.
    """
    if not _is_child:
        yield
        return
    signal.signal(signal.SIGPROF, _time_is_up)
    signal.setitimer(signal.ITIMER_PROF, max(seconds, 1e-3), AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _time_is_up(number: int, frame: Any) -> NoReturn:
    raise TimeIsUp


def run_limited(work: Callable[[], T], seconds: float) -> T:
    """Call `work` in a child process, or directly inside one, and return or raise what it does.

    Args:
        work: must leave torch alone, whose threads a fork does not copy; its result is pickled, what it prints printed,
            and what it warns of, as a UserWarning, warned of again.
        seconds: after which the child is killed, not counting a grace.

    Raises:
        TimeIsUp: it took longer.
        MemoryError: it took more than `MEMORY`.
        ChildDied: it crashed.
    """
    if _is_child or not hasattr(os, "fork"):
        return work()
    reader, writer = os.pipe()
    with _forking, warnings.catch_warnings(action="ignore"):  # of threads: none of theirs is needed in the child
        pid = os.fork()
    if not pid:
        os.close(reader)
        _serve(work, writer, seconds)
    os.close(writer)
    try:
        message = _receive(reader, pid, time.monotonic() + PATIENCE * (seconds + GRACE))
    finally:
        os.close(reader)
        _end(pid)
    is_value, outcome, printed, warned = pickle.loads(message)
    if printed:
        sys.stdout.write(printed)
    for text in warned:
        warnings.warn(text, stacklevel=2)
    if not is_value:
        raise outcome
    value: T = outcome
    return value


def in_budget(work: Callable[[], T], seconds: float, what: str, mend: str) -> T:
    """As `run_limited`, with one sentence where the budget was not enough.

    Args:
        work: as for `run_limited`.
        seconds: the budget; what is below one counts as one second.
        what: begins the sentence, before "takes more than ...".
        mend: ends it: what the user can do.

    Raises:
        OutOfBudget: it took more time, memory or depth than there is.
    """
    try:
        return run_limited(work, max(seconds, 1.0))
    except TimeIsUp:
        why = f"takes more than its budget of {seconds:g} s"
    except MemoryError:
        why = f"needs more than {MEMORY / 2**30:g} GiB of memory"
    except (ChildDied, RecursionError):
        why = "nests so deeply, or needs so much memory, that the process died"
    raise OutOfBudget(f"{what} {why}: {mend}")


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)  # until it is waited for, the number is the child's
    with contextlib.suppress(ChildProcessError):  # where SIGCHLD is ignored
        os.waitpid(pid, 0)


def _receive(reader: int, pid: int, end: float) -> bytes:
    """The child's message, after its length. Another child may hold the pipe open, so that its end says nothing."""
    content = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while len(content) < 8 or len(content) < 8 + int.from_bytes(content[:8], "big"):
            died = _how_it_died(pid)  # before the look for what it wrote last
            if not selector.select(0 if died else POLL):
                if died or time.monotonic() > end:
                    raise died or TimeIsUp
                continue
            piece = os.read(reader, 2**20)
            if not piece:
                raise _how_it_died(pid, wait=True) or ChildDied
            content += piece
    return content[8:]


def _how_it_died(pid: int, wait: bool = False) -> type[BaseException] | None:
    """What the child's end means; None while it lives."""
    try:
        status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | (0 if wait else os.WNOHANG))
    except ChildProcessError:  # where SIGCHLD is ignored
        return ChildDied
    if status is None:
        return None
    return TimeIsUp if status.si_status == signal.SIGXCPU else ChildDied


def _serve(work: Callable[[], Any], writer: int, seconds: float) -> NoReturn:
    """The child's whole life."""
    global _is_child
    _is_child = True
    try:
        gc.freeze()  # a collection would write to, and so copy, all the parent's objects
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends the child
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _limit(seconds)
        message = _outcome(work)
        with os.fdopen(writer, "wb") as file:
            file.write(len(message).to_bytes(8, "big") + message)
    finally:
        os._exit(0)


def _limit(seconds: float) -> None:
    """Set the kernel's limits; the limit on CPU time stops what the timer can't, a single call into C."""
    import resource  # of Unix, as fork is

    def lower(kind: int, limit: int) -> None:
        soft, hard = resource.getrlimit(kind)
        known = [value for value in (soft, hard) if value != resource.RLIM_INFINITY]
        resource.setrlimit(kind, (min([limit, *known]), hard))

    lower(resource.RLIMIT_CPU, int(seconds + GRACE) + 1)
    with contextlib.suppress(OSError), open("/proc/self/statm") as file:  # of Linux; elsewhere memory has no limit
        lower(resource.RLIMIT_AS, int(file.read().split()[0]) * resource.getpagesize() + MEMORY)


def _outcome(work: Callable[[], Any]) -> bytes:
    """Whether it is a value, the value or the exception, what was printed, and what was warned of; pickled."""
    printed, caught = io.StringIO(), list[warnings.WarningMessage]()
    try:
        with redirect_stdout(printed), warnings.catch_warnings(record=True) as caught:
            value = work()
        return pickle.dumps((True, value, printed.getvalue(), _texts(caught)))
    except BaseException as error:
        return _pickled_error(error, printed.getvalue(), _texts(caught))


def _texts(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(warning.message) for warning in caught if warning.category is UserWarning]


def _pickled_error(error: BaseException, printed: str, warned: list[str]) -> bytes:
    """With the traceback as a note; as text where the exception can't be pickled."""
    text = "".join(traceback.format_exception(error))
    try:
        error.add_note(f"in a child process:\n{text}")
        pickled = pickle.dumps((False, error, printed, warned))
        pickle.loads(pickled)
    except Exception:
        return pickle.dumps((False, RuntimeError(text), printed, warned))
    return pickled
