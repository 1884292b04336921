"""Progress of a run in the terminal: a live table where there is a screen, a line now and then where there is none."""

import time
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

QUIET_SECONDS = 10.0  # between two lines where there is no screen


class ProgressDisplay:
    """Shows the rows that training logs; use it as a context manager."""

    def __init__(self, console: Console):
        self.console = console
        self.live = Live(console=console, transient=True, auto_refresh=False)
        self.last = -QUIET_SECONDS

    def __enter__(self) -> "ProgressDisplay":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def row(self, row: dict[str, Any]) -> None:
        """Show one row of metrics.jsonl."""
        if self.console.is_terminal:
            self.live.update(_panel(row), refresh=True)
        elif time.monotonic() - self.last >= QUIET_SECONDS or row["step"] == row["steps"]:
            self.last = time.monotonic()
            self.console.print(_line(row), soft_wrap=True, highlight=False)

    def notice(self, text: str) -> None:
        """Show what nobody may miss."""
        self.console.print(Panel(Text(text, style="bold"), border_style="yellow", title="Notice", title_align="left"))


def _head(row: dict[str, Any]) -> str:
    minutes, seconds = divmod(round(row["seconds_left"]), 60)
    rate = f"{row['steps_per_second']:.0f} steps/s"
    return f"{row['stage']} {row['step']}/{row['steps']}  {rate}  {minutes}:{seconds:02d} left"


def _line(row: dict[str, Any]) -> str:
    losses = "  ".join(f"{name} {value:.3f}" for name, value in row["loss"].items())
    return f"{_head(row)}  {losses}  D {row['D']:.3f}  {_verdict(row)}"


def _verdict(row: dict[str, Any]) -> str:
    return ", ".join(row["failures"]) or "none of the three failure modes"


def _panel(row: dict[str, Any]) -> Group:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("term", "loss [nats]", "optimum", "weight"):
        table.add_column(column, justify="left" if column == "term" else "right")
    for name, value in row["loss"].items():
        optimum = row["optimum"].get(name)
        table.add_row(name, f"{value:.4f}", "" if optimum is None else f"{optimum:.4f}", f"{row['weight'][name]:.4g}")
    bar = ProgressBar(total=row["steps"], completed=row["step"], width=40)
    return Group(Text(_head(row)), bar, table, Text(f"D = {row['D']:.3f} nats: {_verdict(row)}"))
