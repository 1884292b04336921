"""What may take forever runs in a child process, which leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from gedi_nesy.errors import UserError
from gedi_nesy.logic import time_limit as budget
from gedi_nesy.logic.constraint import Constraint


def run_forever() -> None:
    while True:
        pass


def too_slow(seconds: float) -> str:
    """Stopped from within, by a limit that leaves it the time to say so."""
    try:
        with budget.time_limit(seconds):
            run_forever()
    except budget.TimeIsUp:
        return "stopped"
    return "never comes"


def test_what_runs_too_long_is_stopped(no_grace) -> None:
    assert budget.run_limited(lambda: too_slow(0.05), 60) == "stopped"
    with pytest.raises(budget.TimeIsUp):
        budget.run_limited(run_forever, 0.2)


def test_waiting_takes_none_of_the_budget() -> None:
    def wait() -> str:
        with budget.time_limit(0.2):
            time.sleep(0.5)
        return "done"

    assert budget.run_limited(wait, 60) == "done"


def test_a_limit_changes_nothing_in_the_callers_process() -> None:
    handler = signal.getsignal(signal.SIGPROF)
    with budget.time_limit(0.01):
        started = time.process_time()
        while time.process_time() - started < 0.05:
            pass
    assert signal.getsignal(signal.SIGPROF) is handler
    child = budget.run_limited(os.getpid, 60)
    assert child != os.getpid()
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)  # it is not left behind


def test_values_errors_and_prints_come_back(capsys) -> None:
    assert budget.run_limited(lambda: sys.stdout.write("heard") and {"a": (1, 2)}, 60) == {"a": (1, 2)}
    assert capsys.readouterr().out == "heard"
    with pytest.raises(UserError, match="one sentence"):
        budget.run_limited(lambda: refuse("one sentence"), 60)
    with pytest.raises(RuntimeError, match="OverflowError: <unlocked"):
        budget.run_limited(lambda: refuse_by(OverflowError(threading.Lock())), 60)  # no lock can be pickled


def refuse(sentence: str) -> None:
    raise UserError(sentence)


def refuse_by(error: Exception) -> None:
    raise error


def test_memory_has_a_limit_and_a_crash_is_an_error() -> None:
    with pytest.raises(MemoryError):
        budget.run_limited(lambda: len(bytearray(2**40)), 60)
    with pytest.raises(budget.ChildDied):
        budget.run_limited(lambda: os.kill(os.getpid(), signal.SIGKILL), 60)


def test_children_of_several_threads_do_not_disturb_each_other() -> None:
    found: dict[int, int] = {}

    def square(number: int) -> None:
        found[number] = budget.run_limited(lambda: time.sleep(0.05) or number**2, 60)

    threads = [threading.Thread(target=square, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number**2 for number in range(8)}


def test_ctrl_c_ends_the_child_too(tmp_path) -> None:
    program = """
import os, sys, time
from gedi_nesy.logic.time_limit import run_limited
def work():
    print(os.getpid(), file=sys.stderr, flush=True)
    time.sleep(60)
run_limited(work, 60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    child = int(process.stderr.readline())
    process.send_signal(signal.SIGINT)
    process.communicate()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("q :- X is 9**(9**9), X > 1.", "."),
        ("q :- X is 1<<100000000000, X > 1.", "."),
        ("p(X) :- p(f(X)). q :- p(0).", "not grounded within its budget of 0.5 s"),
        ("q :- " + ",".join(f"p({i})" for i in range(5000)) + ".", "program was not parsed within its budget of 0.5 s"),
    ],
)
def test_rules_that_would_take_forever_are_refused_in_time(program, message) -> None:
    with pytest.raises(UserError, match=message):
        Constraint(program, "q", seconds=0.5)
