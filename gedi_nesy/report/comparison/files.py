"""A comparison as files: a line a run in CSV, everything in JSON, the table in Markdown, and the plot."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gedi_nesy.files import write_atomically
from gedi_nesy.report.comparison.page import comparison_html
from gedi_nesy.report.comparison.plot import comparison_png
from gedi_nesy.report.comparison.table import markdown_table
from gedi_nesy.report.comparison.tally import Comparison

ODD = "backslashreplace"  # how what is no UTF-8 in a file's name is written


def write_comparison(stem: Path, comparison: Comparison, about: Mapping[str, Any]) -> None:
    """Write `stem`.csv, .json, .md and .html, and once a run is finished .png, its plot of the first figure.

    Args:
        stem: the path of the files without their ending.
        comparison: what to write.
        about: what else the JSON is to say, for example the command.
    """
    write_atomically(stem.with_name(f"{stem.name}.csv"), _csv(comparison).encode(errors=ODD))
    write_atomically(stem.with_name(f"{stem.name}.md"), markdown_table(comparison).encode(errors=ODD))
    text = json.dumps({**about, **comparison.to_dict()}, indent=2)
    write_atomically(stem.with_name(f"{stem.name}.json"), f"{text}\n".encode())
    figure = next(iter(comparison.figures))
    plot = stem.with_name(f"{stem.name}.png")
    drawn = any(row[figure] is not None for row in comparison.rows())
    if drawn:
        comparison_png(plot, comparison, figure)
    page = comparison_html(comparison, plot if drawn else None, str(about.get("command", "")))
    write_atomically(stem.with_name(f"{stem.name}.html"), page.encode(errors=ODD))


def _csv(comparison: Comparison) -> str:
    rows = comparison.rows()
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
