"""Logs beside metrics.jsonl for other readers of curves: a CSV table, or TensorBoard's event files."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

from gedi_nesy.extras import load_extra
from gedi_nesy.runs.dotted import flatten
from gedi_nesy.runs.folder import RunFolder

LogName = Literal["csv", "tensorboard"]
Row = Mapping[str, Any]


class Log(Protocol):
    """Gets every row that metrics.jsonl gets."""

    def begin(self) -> None:
        """Steps begin; rows beyond those that the run's folder holds now will come again."""

    def __call__(self, row: Row) -> None:
        """A row of metrics.jsonl, after it was written there."""


class CsvLog:
    """metrics.csv: a line for each row that was logged, a column for each number of it: loss.gen, D, seconds, ..."""

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.lines: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Write what metrics.jsonl has."""
        self.lines = [_plain(row) for row in self.folder.read_metrics() if "loss" in row]
        self._write()

    def __call__(self, row: Row) -> None:
        """Add a line; where it has new columns, write the table anew."""
        self.lines.append(_plain(row))
        if set(self.lines[-1]) <= set(self.columns):
            self.folder.append("metrics.csv", self._text(self.lines[-1:]))
        else:
            self._write()

    def _write(self) -> None:
        self.columns = list(dict.fromkeys(key for line in self.lines for key in line))
        heading = dict(zip(self.columns, self.columns, strict=True))
        self.folder.write("metrics.csv", self._text([heading, *self.lines]) if self.columns else "")

    def _text(self, lines: list[dict[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self.columns, restval="").writerows(lines)
        return text.getvalue()


class TensorBoardLog:
    """tensorboard/STAGE: event files with a curve for each number of the rows, and a step axis for each stage."""

    def __init__(self, folder: RunFolder):
        self.folder = folder.subfolder("tensorboard")
        self.writers: dict[str, Any] = {}

    def begin(self) -> None:
        """Let the next row of a stage hide the rows from its step on, which were logged before a stop or a return."""
        for writer in self.writers.values():
            writer.close()
        self.writers.clear()

    def __call__(self, row: Row) -> None:
        """Add a point to each curve."""
        from torch.utils.tensorboard import SummaryWriter  # it takes a second

        stage, step = row["stage"], row["step"]
        if stage not in self.writers:
            folder = str(self.folder / stage.replace(" ", "-"))
            self.writers[stage] = SummaryWriter(folder, purge_step=step)
        for name, value in _plain(row).items():
            if isinstance(value, int | float) and name not in ("step", "steps"):
                self.writers[stage].add_scalar(name.replace(".", "/"), value, step)
        self.writers[stage].flush()


def check_logs(names: Iterable[LogName]) -> None:
    """UserError where what a log needs is not installed."""
    if "tensorboard" in names:
        load_extra("tensorboard", "tensorboard", "The log tensorboard")


def open_logs(names: Iterable[LogName], folder: RunFolder) -> list[Log]:
    """The logs of these names, each once."""
    kinds: Mapping[LogName, Callable[[RunFolder], Log]] = {"csv": CsvLog, "tensorboard": TensorBoardLog}
    return [kinds[name](folder) for name in dict.fromkeys(names)]


def _plain(row: Row) -> dict[str, Any]:
    """The row's numbers and names by dotted key; the reasons for doubt as one text, each network's losses left out."""
    flat = flatten({key: value for key, value in row.items() if key != "each"})
    return {key: "; ".join(value) if isinstance(value, list) else value for key, value in flat.items()}
