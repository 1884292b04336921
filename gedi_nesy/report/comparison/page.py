"""comparison.html: the tables and the plot of a comparison, and where each run's own report is."""

from pathlib import Path

from gedi_nesy.report.comparison.table import tables
from gedi_nesy.report.comparison.tally import Comparison
from gedi_nesy.report.html import TEMPLATES, read_picture


def comparison_html(comparison: Comparison, plot: Path | None, command: str) -> str:
    """The page.

    Args:
        comparison: what to show.
        plot: comparison.png, if there is one.
        command: that makes the comparison.
    """
    on = list(dict.fromkeys(str(outcome.cell.on) for outcome in comparison.outcomes))
    return TEMPLATES.get_template("comparison.html.j2").render(
        title=f"Methods on {', '.join(on)}{' examples' * (comparison.axis == 'examples')}",
        subtitle="Median ± standard deviation over the seeds, test set.",
        plot=plot and read_picture(plot),
        tables=tables(comparison),
        runs=comparison.outcomes,
        command=command,
    )
