"""Ctrl-C and SIGTERM while a run trains."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def stop_on_signal(stop: threading.Event, answer: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM set an event, so that no step is cut in two; a second one interrupts at once.

    Signals reach the main thread only; elsewhere the event is never set.

    Args:
        stop: whether the run was asked to stop.
        answer: called when that happens, to tell the user that it was heard.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def handle(number: int, frame: object) -> None:
        stop.set()
        restore()
        answer()

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
