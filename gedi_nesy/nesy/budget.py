"""A wall-clock budget for code that offers no place to check one, such as ProbLog's grounder."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TimeIsUp(BaseException):
    """Raised inside the running code; a BaseException, so that no `except Exception` on the way swallows it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Run the body for at most so many seconds, in any thread (CPython only).

    A watchdog raises `TimeIsUp` in the calling thread at its next Python instruction, and again every 0.2 s until the
    body has ended: raised inside a finaliser or a callback of the garbage collector, Python would swallow it. A single
    long call into C, such as `9**9**9`, ends first.

    Raises:
        TimeIsUp: the body ran longer.
    """
    thread = ctypes.c_ulong(threading.get_ident())
    raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc
    finished = threading.Event()
    lock = threading.Lock()

    def interrupt() -> None:
        wait = seconds
        while not finished.wait(wait):
            with lock:
                if not finished.is_set():
                    raise_in_thread(thread, ctypes.py_object(TimeIsUp))
            wait = 0.2

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        yield
    finally:
        try:
            with lock:
                finished.set()
            for _ in range(2):  # one that is still on its way arrives at a loop's end. Taking it back instead, by
                pass  # raising None, would leave CPython 3.11 looking for it ever after, and hang it under a profiler
        except TimeIsUp:
            finished.set()
