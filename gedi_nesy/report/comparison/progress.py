"""Progress of a comparison in the terminal: a line for each run that ends, and where there is a screen a bar below."""

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.text import Text

from gedi_nesy.report.console import in_lines, notice_panel
from gedi_nesy.report.words import duration, show
from gedi_nesy.runs.compare.scheduler import Progress
from gedi_nesy.runs.compare.trial import Outcome
from gedi_nesy.runs.dotted import flatten


class ComparisonDisplay:
    """Shows the progress that `run_cells` tells; use it as a context manager.

    Args:
        console: where to.
        figures: the keys of summary.json to show of each run, with their labels.
    """

    def __init__(self, console: Console, figures: Mapping[str, str]):
        self.console, self.figures = console, figures
        self.spinner = Spinner("dots", "planning the runs")
        self.live = Live(self.spinner, console=console, transient=True)

    def __enter__(self) -> "ComparisonDisplay":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def show(self, progress: Progress) -> None:
        """Show that a run has ended."""
        left = "" if not progress.seconds_left else f", about {duration(progress.seconds_left)} left"
        stand = f"{progress.done} of {progress.total} runs done{left}"
        if progress.outcome:
            stand_at_end = "" if self.console.is_terminal else f"  ({stand})"
            self._print(describe(progress.outcome, self.figures) + stand_at_end)
        elif not self.console.is_terminal:
            self._print(stand)
        if self.console.is_terminal:
            bar = ProgressBar(total=progress.total, completed=progress.done, width=40)
            self.spinner.text = Text(stand)
            self.live.update(Group(*in_lines(bar, self.spinner)), refresh=True)

    def notice(self, text: str) -> None:
        """Show what nobody may miss."""
        self.console.print(notice_panel(text))

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)


def describe(outcome: Outcome, figures: Mapping[str, str]) -> str:
    """A run that has ended, in one line."""
    if outcome.summary is None:
        return f"{outcome.cell.name} FAILED: {outcome.failure}"
    found = flatten(outcome.summary)
    values = "  ".join(f"{label} {show(found[key])}" for key, label in figures.items() if found.get(key) is not None)
    return f"{outcome.cell.name}: {values}"
