"""report.html of a run, written again from what its folder holds."""

from pathlib import Path

from gedi_nesy.report.captions import place
from gedi_nesy.report.html import report_html
from gedi_nesy.runs.folder import RunFolder


def rewrite_report(folder: Path) -> Path:
    """Write a finished run's report.html again, with every picture in its folder.

    Returns:
        The path of the report.

    Raises:
        UserError: if it is no run folder, the run is not finished, or a file of it is damaged or a link.
    """
    run = RunFolder.open(folder)
    pictures = sorted(folder.glob("*.png"), key=lambda picture: (place(picture.stem), picture.name))
    report_html(run / "report.html", run.read_json("summary.json"), run.read_text("config.toml"), pictures)
    return run / "report.html"
