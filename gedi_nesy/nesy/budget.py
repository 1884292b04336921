"""A wall-clock budget for code that offers no place to check one, such as ProbLog's grounder."""

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class TimeIsUp(BaseException):
    """Raised inside the running code; a BaseException, so that no `except Exception` on the way swallows it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Run the body for at most so many seconds, in any thread (CPython only).

    A watchdog raises `TimeIsUp` in the calling thread at its next Python instruction; a single long call into C, such
    as `9**9**9`, ends first.

    Raises:
        TimeIsUp: the body ran longer.
    """
    thread = ctypes.c_ulong(threading.get_ident())
    lock = threading.Lock()
    finished = fired = caught = False

    def interrupt() -> None:
        nonlocal fired
        with lock:
            if not finished:
                fired = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(TimeIsUp))

    watchdog = threading.Timer(seconds, interrupt)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    except TimeIsUp:
        caught = True
        raise
    finally:
        with lock:
            finished = True
        watchdog.cancel()
        for _ in range(100 if fired and not caught else 0):
            time.sleep(0.001)  # the exception is on its way: let it come here, not later
