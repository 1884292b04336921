"""Ctrl-C and SIGTERM while a run trains."""

import os
import signal
from threading import Event

import pytest

from gedi_nesy.runs.signals import stop_on_signal


def test_the_first_signal_is_a_request_and_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    stop, answered = Event(), []
    with stop_on_signal(stop, lambda: answered.append(stop.is_set())):
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_set()
        assert answered == [True]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)  # the second one interrupts at once
    assert signal.getsignal(signal.SIGINT) is before
