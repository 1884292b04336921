"""report.html of a run, written again from what its folder holds."""

from pathlib import Path

from gedi_nesy.report.html import report_html
from gedi_nesy.report.words import CAPTIONS
from gedi_nesy.runs import RunFolder


def rewrite_report(folder: Path) -> Path:
    """Write a finished run's report.html again, with every picture in its folder.

    Returns:
        The path of the report.

    Raises:
        UserError: if it is no run folder, or the run is not finished.
    """
    run = RunFolder.open(folder)
    config = (run / "config.toml").read_text(encoding="utf-8")
    report_html(run / "report.html", run.read_json("summary.json"), config, sorted(folder.glob("*.png"), key=_order))
    return run / "report.html"


def _order(picture: Path) -> tuple[int, str]:
    """As a run's own report has them: known pictures in the order of their captions, then others by name."""
    known = [k for k, stem in enumerate(CAPTIONS) if picture.stem.split("-")[0] == stem]
    return (known[0] if known else len(CAPTIONS), picture.name)
