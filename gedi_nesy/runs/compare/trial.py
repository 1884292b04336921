"""A cell of a comparison: one run, its outcome, and the record of a failure."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gedi_nesy.errors import UserError
from gedi_nesy.files import read_regular, write_atomically
from gedi_nesy.runs.folder import RunFolder

KILLED = (
    "The process that trained it was killed, most often for lack of memory; the same command tries it again, smaller "
    "settings (--set) need another folder (--out)."
)


@dataclass(frozen=True)
class Cell:
    """One run of a comparison.

    Attributes:
        name: of its run folder.
        method: what is compared.
        on: what it is trained on: a number of examples, or a data set.
        seed: of the run.
        config: its complete config.toml.
        result: the file with its figures, which its folder gets last of all.
    """

    name: str
    method: str
    on: int | str
    seed: int
    config: str
    result: str = "summary.json"


Train = Callable[[Cell, Path], object]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a cell: its figures, or the sentence it failed with, or neither while it is not finished."""

    cell: Cell
    summary: Mapping[str, Any] | None = None
    failure: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the cell is still to be trained."""
        return self.summary is None and self.failure is None


def read_outcome(cell: Cell, out: Path) -> Outcome:
    """The outcome of a cell so far, read from the folder of the comparison."""
    folder, failure = RunFolder(out / cell.name), _failure_file(cell, out)
    if folder.has(cell.result):
        try:
            return Outcome(cell, summary=folder.read_json(cell.result))
        except UserError as damaged:
            return Outcome(cell, failure=str(damaged))
    if not failure.is_file():
        return Outcome(cell)
    return Outcome(cell, failure=read_regular(failure).decode(errors="replace").split("\n")[0])


def train_cell(cell: Cell, out: Path, train: Train) -> Outcome:
    """Train a cell in this process; a failure is written down beside its folder."""
    failure = _failure_file(cell, out)
    failure.unlink(missing_ok=True)
    try:
        if read_outcome(cell, out).is_open:  # else it had ended when its process was killed
            train(cell, out / cell.name)
    except UserError as error:
        write_atomically(failure, f"{error}\n".encode(errors="backslashreplace"))
    except Exception as error:  # a defect in one method must not cost the others
        sentence = f"{type(error).__name__}: {error} (the traceback is in {failure.name})".replace("\n", " ")
        write_atomically(failure, f"{sentence}\n\n{traceback.format_exc()}".encode(errors="backslashreplace"))
    return read_outcome(cell, out)


def note_killed(cell: Cell, out: Path) -> Outcome:
    """Write down that a cell failed because its process was killed, which could not do so itself."""
    if read_outcome(cell, out).is_open:  # else it had just ended
        write_atomically(_failure_file(cell, out), f"{KILLED}\n".encode())
    return read_outcome(cell, out)


def _failure_file(cell: Cell, out: Path) -> Path:
    return out / f"{cell.name}.failed.txt"
