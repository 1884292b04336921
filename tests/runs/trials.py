"""Trials that take no time; a module of its own, which a new process imports without the rest of the tests."""

import json
import os
import signal
import time
from pathlib import Path

from gedi_nesy.errors import UserError
from gedi_nesy.runs.compare.scheduler import run_cells
from gedi_nesy.runs.compare.trial import Cell


def cell(method, on=10, seed=0, steps=5):
    return Cell(f"{method}-{on}-seed{seed}", method, on, seed, f'about = "new words"\n[train]\nsteps = {steps}\n')


def train(cell, folder):
    """Fail where the method says so, otherwise finish; a file tells how often a folder was worked on."""
    folder.mkdir(exist_ok=True)
    with open(folder / "worked", "a") as file:
        file.write("resumed\n" if (folder / "config.toml").is_file() else "trained\n")
    (folder / "config.toml").write_text(cell.config)
    if cell.method == "refused":
        raise UserError("There is too little data; take less.")
    if cell.method == "broken":
        return 1 / 0
    if cell.method == "stopped":
        raise KeyboardInterrupt
    if cell.method == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / "summary.json").write_text(json.dumps({"accuracy": 0.5 + cell.seed / 10, "seconds": 3.0}))


def train_beside_killed(cell, folder):
    """The killed cell waits for the good one to begin, which waits until its process is ended too; then a stop."""
    if cell.method == "stop":
        stop_parent(cell, folder)
    good = folder.parent / "good-10-seed0"
    while cell.method == "killed" and not (good / "config.toml").is_file():
        time.sleep(0.01)
    if folder == good and not good.exists():
        good.mkdir()
        (good / "config.toml").write_text(cell.config)
        wait_for_ever()
    train(cell, folder)


def stop_parent(cell, folder):
    folder.mkdir()
    os.kill(os.getppid(), signal.SIGTERM)
    wait_for_ever()


def hold(cell, folder):
    """Say that the run has begun, then train on for ever."""
    folder.mkdir()
    (folder / "process").write_text(str(os.getpid()))
    wait_for_ever()


def compare_for_ever(out):
    run_cells([cell("m", seed=k) for k in range(2)], out, hold, Path.read_text, jobs=2)


def wait_for_ever():
    while True:
        time.sleep(600)
