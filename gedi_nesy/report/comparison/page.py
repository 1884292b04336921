"""comparison.html: the tables and the plot of a comparison, and where each run's own report is."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from gedi_nesy.report.comparison.table import tables
from gedi_nesy.report.comparison.tally import Comparison
from gedi_nesy.report.html import figure, page


def comparison_html(comparison: Comparison, plot: Path | None, command: str) -> str:
    """The page.

    Args:
        comparison: what to show.
        plot: comparison.png, if there is one.
        command: that makes the comparison.
    """
    on = list(dict.fromkeys(str(outcome.cell.on) for outcome in comparison.outcomes))
    title = f"Methods on {', '.join(on)}{' examples' * (comparison.axis == 'examples')}"
    note = "Median ± standard deviation over the seeds, test set."
    parts = [
        f"<header><h1>{escape(title)}</h1><p>{note}</p></header>",
        *([figure(plot)] if plot else []),
        *(
            f"<section><h2>{escape(title or 'Figures')}</h2>{_table(lines)}</section>"
            for title, lines in tables(comparison)
        ),
        f"<section><h2>Runs</h2>{_runs(comparison)}</section>",
        f"<section><h2>Run it again</h2><pre>{escape(command)}</pre></section>",
    ]
    return page(title, parts)


def _table(lines: Sequence[Sequence[str]]) -> str:
    """The header, then the lines; the first column names them."""
    header, *rest = lines
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(text)}</td>" for text in others)}</tr>'
        for first, *others in rest
    )
    return (
        f'<div class="scroll"><table class="figures"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _runs(comparison: Comparison) -> str:
    """Each run, with its report or why it failed."""
    lines = []
    for outcome in comparison.outcomes:
        name = escape(outcome.cell.name)
        stands = escape(outcome.failure or "not run")
        if outcome.summary is not None:
            stands = f'<a href="{name}/report.html">report</a>'
        lines.append(f'<tr><th scope="row">{name}</th><td class="words">{stands}</td></tr>')
    return f"<table><tbody>{''.join(lines)}</tbody></table>"
