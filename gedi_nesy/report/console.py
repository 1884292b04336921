"""Progress of a run in the terminal: a live table where there is a screen, a line now and then where there is none."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from gedi_nesy.report.words import SCORES, SCORES_EXPLAINED, SECTIONS, TEST, VERDICTS, duration, written
from gedi_nesy.runs.callbacks import Progress

QUIET_SECONDS = 10.0  # between two lines where there is no screen


class ProgressDisplay:
    """Shows the rows that training logs, and its signs of life; use it as a context manager.

    On a screen a spinner turns and the seconds since the last row count, so that nothing looks as if it hung; in a
    notebook one line is written over and over; elsewhere there is a line for each stage, and one now and then.
    """

    def __init__(self, console: Console):
        self.console = console
        self.spinner = Spinner("dots")
        self.place: dict[str, Any] = {"stage": "beginning", "step": 0, "steps": 0}
        self.logged: dict[str, Any] = {}  # the last row of the stage that had losses
        self.last, self.heard = -QUIET_SECONDS, time.monotonic()
        self.live = Live(console=console, transient=True, get_renderable=self.render)

    def __enter__(self) -> "ProgressDisplay":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()
        if self.console.is_jupyter:
            print(file=self.console.file)

    def row(self, row: dict[str, Any]) -> None:
        """Show one row of metrics.jsonl, or a sign of life: stage, step, steps (0 if it has none)."""
        begins = row["stage"] != self.place["stage"]
        self.logged = row if "loss" in row else {} if begins else self.logged
        pace = {key: self.logged[key] for key in ("steps_per_second", "seconds_left") if key in self.logged}
        self.place, self.heard = pace | row, time.monotonic()
        if self.console.is_jupyter:
            print(f"\r{_line(self.logged or row):<120}"[:160], end="", file=self.console.file, flush=True)
        elif not self.console.is_terminal:
            self._print_line(row, begins)

    def _print_line(self, row: dict[str, Any], begins: bool) -> None:
        """A line for a stage that begins or ends, and otherwise now and then."""
        ends = "loss" in row and row["step"] == row["steps"]
        if begins or ends or time.monotonic() - self.last >= QUIET_SECONDS:
            self.last = time.monotonic()
            self.console.print(_line(row), soft_wrap=True, highlight=False)

    def render(self) -> RenderableType:
        """What the screen shows now."""
        waited = time.monotonic() - self.heard
        self.spinner.text = Text(_head(self.place) + (f"  {waited:.0f} s" if waited >= 2 else ""))
        steps = self.place["steps"]
        bar = [ProgressBar(total=steps, completed=self.place["step"], width=40)] if steps else []
        return Group(*in_lines(self.spinner, *bar), *_losses(self.logged))

    def notice(self, text: str) -> None:
        """Show what nobody may miss."""
        self.console.print(notice_panel(text))


def notice_panel(text: str) -> Panel:
    """What nobody may miss, in a frame."""
    return Panel(Text(text, style="bold"), border_style="yellow", title="Notice", title_align="left")


def summary_table(summary: Mapping[str, Any]) -> Table:
    """The figures of summary.json that a user looks at first; the rest is in the file."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for key, figure in SECTIONS[TEST].items():
        if key in summary:
            table.add_row(figure.title, Text(written(key, summary[key])))
    for goal, own in summary.get("queries", {}).items():
        answered = f", answers right {own['answer_accuracy']:.4f}" if "answer_accuracy" in own else ""
        table.add_row(Text(goal), Text(f"satisfied {own['constraint_satisfaction']:.4f}{answered}"))
    if summary.get("doubtful_rows"):
        lines = [f"{row['line']}{' (breaks it)' * row['breaks']}" for row in summary["doubtful_rows"]]
        table.add_row("Least likely, by line", Text(", ".join(lines)))
    for name, probability in summary.get("probabilities", {}).items():
        table.add_row(Text(f"P({name}), learned"), Text(f"{probability:.4f}"))
    if (matching := summary.get("matching")) and matching.get("separation") is not None:
        how = f"{matching['likeness']}, which separates the symbols by {matching['separation']:.2f} (wholly: 1)"
        table.add_row("Matched by", Text(how))
    if "certificate" in summary:
        table.add_row("Certificate", Text(_certificate(summary["certificate"])))
    if "seconds" in summary:
        table.add_row("Time", Text(f"{duration(summary['seconds'])} for {summary['steps']:,} steps"))
    return table


def ood_table(rows: Mapping[str, Mapping[str, Any]]) -> Group:
    """The AUROC of each score that there is against each kind of foreign examples, and what the scores are."""
    titles = SCORES | {"published": "in the paper"}  # of the column before
    scores = [key for key in titles if any(key in row for row in rows.values())]
    table = Table("AUROC against", box=None, padding=(0, 2, 0, 0))
    for title in ("images", *(titles[key] for key in scores)):
        table.add_column(title, justify="right")
    for name, row in rows.items():
        table.add_row(Text(name), f"{row['images']:,}", *(f"{row[key]:.4f}" if key in row else "" for key in scores))
    lines = [Text(f"{titles[score]}: {SCORES_EXPLAINED[score]}") for score in scores]
    return Group(table, Text(), *lines, Text("AUROC 1: all foreign ones score lower; 0.5: no better than chance."))


def prediction_table(rows: Sequence[Mapping[str, Any]]) -> Group:
    """What `predict` saw in each image, then a sentence on each that is not like the training images."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("image", overflow="fold")
    for title in ("symbol", "p", "second", "p", "energy", "familiarity", "verdict"):
        table.add_column(title, no_wrap=True)
    notes = []
    for row in rows:
        if "error" in row:
            continue
        second, percentile = row["second_probability"], row["percentile"]
        table.add_row(
            Text(row["image"]),
            Text(row["symbol"]),
            f"{row['probability']:.4f}",
            Text(row["second"] or ""),
            "" if second is None else f"{second:.4f}",
            f"{row['energy']:.2f}",
            "" if percentile is None else f"above {percentile:.1f}%",
            row["verdict"] or "",
        )
        notes += [] if row["verdict"] in (None, "familiar") else [Text(_note(row))]
    return Group(*([table] if table.rows else []), *notes)


def _note(row: Mapping[str, Any]) -> str:
    swapped = f"; inverted it would be {row['if_inverted']}" if "if_inverted" in row else ""
    crop = f"; its drawing fills {row['fills']:.0%} of it: crop it" if "fills" in row else ""
    return f"{row['image']}: {VERDICTS[row['verdict']]}{swapped}{crop}."


def rule_table(rule: Mapping[str, Any]) -> Group:
    """What `check` says of a rule."""
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_row("Query", Text(rule["query"]))
    facts.add_row("Size", Text(f"a diagram of {rule['nodes']:,} nodes, compiled in {rule['seconds']:.2f} s"))
    facts.add_row("Solutions", Text(f"{rule['solutions']:,} choices of symbols satisfy it"))
    facts.add_row("One of them", Text(", ".join(f"{key} = {symbol}" for key, symbol in rule["example"].items())))
    variables = Table("image", "network", "symbols, and how often each is right", box=None, padding=(0, 2, 0, 0))
    for variable in rule["variables"]:
        shares = list(zip(variable["domain"], variable["marginal"], strict=True))
        even = max(variable["marginal"]) - min(variable["marginal"]) < 1e-6
        symbols = Text("  ".join(symbol if even else f"{symbol} {share:.1%}" for symbol, share in shares))
        symbols.append(f"  ({variable['marginal'][0]:.1%} each)" if even else "")
        variables.add_row(Text(variable["key"]), Text(variable["network"]), symbols)
    obstacle = [Text(f"It can't be trained: {rule['obstacle']}")] if rule["obstacle"] else []
    words = [Text(sentence) for sentence in rule["in_plain_words"]]
    return Group(facts, Text(), variables, Text(), *words, *obstacle)


def bounds_table(rule: Mapping[str, Any]) -> Table:
    """What `check --nodes` says of a rule: bounds, and an estimate; never the exact value."""
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facts.add_row("Query", Text(rule["query"]))
    facts.add_row("Images are", Text(f"read {rule['variables']} times; each symbol is as probable as the others"))
    lower = "-inf, as nothing is known yet," if rule["lower"] is None else f"{rule['lower']:.4g}"
    facts.add_row("Bounds", Text(f"log P from {lower} to {rule['upper']:.4g}, by {rule['nodes']:,} nodes"))
    if "draws" in rule:
        estimate = f"log P = {rule['log_prob']:.4g}, standard error {rule['standard_error']:.2g}"
        facts.add_row("Estimate", Text(f"{estimate}, from {rule['accepted']:,} solutions in {rule['draws']:,} draws"))
    return facts


def _certificate(certificate: Mapping[str, Any]) -> str:
    agreement, margin = certificate["restart_agreement"], certificate.get("matching_margin")
    restarts = "no restarts to compare" if agreement is None else f"restarts agree on {agreement:.1%}"
    restarts = restarts if margin is None else f"the symbols found by likeness lead all others by {margin:.1%}"
    rival = certificate.get("rival_lead")
    restarts += "" if rival is None else f", a network that learned others fits the rule {rival:.2f} nats worse"
    facts = f"final D = {certificate['D']:.3f} nats, {restarts}"
    if certificate["certified"]:
        return f"given: no reason for doubt, {facts}"
    return f"withheld: {', '.join(certificate['failures']) or 'nothing to confirm the result'} (beside that: {facts})"


def _head(row: dict[str, Any]) -> str:
    stage = f"{row['stage']} {row['step']}/{row['steps']}" if row["steps"] else str(row["stage"])
    if "seconds_left" not in row:
        return stage
    minutes, seconds = divmod(round(row["seconds_left"]), 60)
    rate = f"{row['steps_per_second']:.0f} steps/s"
    return f"{stage}  {rate}  {minutes}:{seconds:02d} left"


def _line(row: dict[str, Any]) -> str:
    if "loss" not in row:
        return _head(row)
    losses = "  ".join(f"{name} {value:.3f}" for name, value in row["loss"].items())
    return f"{_head(row)}  {losses}  running D {row['D']:.3f}  {_verdict(row)}"


def _verdict(row: dict[str, Any]) -> str:
    if "barlow" in row["loss"] and "prior" not in row["loss"]:
        return "of features alone, which have no clusters yet"
    found = ", ".join(row["failures"]) or "no reason for doubt"
    return f"{found}; went back {row['returns']} times after a divergence" if "returns" in row else found


def _losses(row: dict[str, Any]) -> list[RenderableType]:
    """The losses of a logged row as a table, and the diagnosis below it."""
    if not row:
        return []
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("term", "loss [nats]", "optimum", "weight"):
        table.add_column(Text(column), justify="left" if column == "term" else "right")  # [nats] is no markup
    for name, value in row["loss"].items():
        optimum = row["optimum"].get(name)
        table.add_row(name, f"{value:.4f}", "" if optimum is None else f"{optimum:.4f}", f"{row['weight'][name]:.4g}")
    return [table, Text(f"running D = {row['D']:.3f} nats: {_verdict(row)}")]


def in_lines(*parts: RenderableType) -> list[RenderableType]:
    """Each part on a line of its own: rich ends none after a progress bar or a spinner."""
    grid = Table.grid()
    for part in parts:
        grid.add_row(part)
    return [grid]


@contextlib.contextmanager
def shown_progress(progress: Progress | bool) -> Iterator[Progress]:
    """The function to tell of progress: the one given, or with True a display, in a terminal or notebook."""
    console = Console(stderr=True)
    if console.is_jupyter:
        console = Console()  # a notebook has a red ground for errors
    if callable(progress):
        yield progress
    elif progress and (console.is_terminal or console.is_jupyter):
        with ProgressDisplay(console) as display:
            yield display.row
    else:
        yield lambda row: None
