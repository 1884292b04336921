"""report.html of a run, written again from what its folder holds."""

from pathlib import Path

from gedi_nesy.report.html import report_html
from gedi_nesy.report.words import CAPTIONS
from gedi_nesy.runs.folder import RunFolder


def rewrite_report(folder: Path) -> Path:
    """Write a finished run's report.html again, with every picture in its folder.

    Returns:
        The path of the report.

    Raises:
        UserError: if it is no run folder, the run is not finished, or a file of it is damaged or a link.
    """
    run = RunFolder.open(folder)
    pictures = sorted(folder.glob("*.png"), key=_order)
    report_html(run / "report.html", run.read_json("summary.json"), run.read_text("config.toml"), pictures)
    return run / "report.html"


def _order(picture: Path) -> tuple[int, str]:
    """As a run's own report has them: known pictures in the order of their captions, then others by name."""
    known = [k for k, stem in enumerate(CAPTIONS) if picture.stem.split("-")[0] == stem]
    return (known[0] if known else len(CAPTIONS), picture.name)
