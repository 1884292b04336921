"""report.html: one file that shows a run to anyone, needs nothing beside it and loads nothing from anywhere."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from gedi_nesy.errors import UserError
from gedi_nesy.files import read_regular, write_atomically
from gedi_nesy.report.captions import caption, is_chart
from gedi_nesy.report.verdict import verdict
from gedi_nesy.report.words import FIGURES, SECTIONS, TRACKS, Figure, show, written
from gedi_nesy.runs.dotted import flatten

SMALL = 600  # pixels up to which a picture can be read when it is shrunk to a phone's width
HIDDEN = (
    "versions.",
    "familiarity.",
    "doubtful_rows",
)  # of summary.json: what has a place of its own, or is for programs
TEMPLATES = Environment(
    loader=PackageLoader("gedi_nesy", "report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
Rows = Mapping[str, Any]  # summary.json by dotted name: {"certificate.D": 0.01, ...}


@dataclass(frozen=True)
class Line:
    """A value with its name: a line of a table, or a tile of the headline."""

    title: str
    text: str
    meaning: str = ""
    is_doubt: bool = False


@dataclass(frozen=True)
class Picture:
    """A PNG inside the page; a wide one is scrolled on a phone, not shrunk, and a chart is dark on a dark page."""

    title: str
    caption: str
    base64: str
    is_wide: bool
    is_chart: bool


def report_html(path: Path, summary: Mapping[str, Any], config: str, images: Sequence[Path]) -> None:
    """Write the report of a run.

    Args:
        path: of the HTML file.
        summary: the contents of summary.json. Keys that are not known are shown under their own names; "notice" is
            shown first, and "command" as what reproduces the run.
        config: the text of config.toml.
        images: PNG files to show, in this order, under a caption that goes by the file's name.

    Raises:
        UserError: if one of the images can't be read, or is a link.
    """
    rows = flatten(summary)
    page = TEMPLATES.get_template("report.html.j2").render(
        title=_title(rows),
        subtitle=_subtitle(rows),
        notice=rows.get("notice"),
        verdict=verdict(rows),
        in_doubt=rows.get("certificate.certified") is False,
        tiles=_tiles(rows),
        pictures=[read_picture(image) for image in images],
        sections=_sections(rows),
        command=rows.get("command"),
        config=config,
        folded=_folded(rows),
    )
    write_atomically(path, page.encode(errors="replace"))  # a path in it may be no UTF-8


def read_picture(image: Path) -> Picture:
    """A PNG file with its title and caption.

    Raises:
        UserError: if the file can't be read, or is a link.
    """
    try:
        png = read_regular(image, follow_links=False)
    except OSError as error:  # in a folder that comes from anybody it may be a link to what is private
        raise UserError(f"{image} can't be read: {error.strerror}; remove it.") from error
    width = int.from_bytes(png[16:20], "big")  # where a PNG has it
    return Picture(*caption(image.stem), base64.b64encode(png).decode(), width > SMALL, is_chart(image.stem))


def _title(rows: Rows) -> str:
    track = TRACKS.get(rows.get("track", "rule"), TRACKS["rule"])
    examples = f", {show(rows['examples'])} {track.examples}" if "examples" in rows else ""
    return f"{track.name} on {rows.get('dataset', 'unnamed data')}{examples}"


def _subtitle(rows: Rows) -> str:
    names = {"method": "method", "seed": "seed", "device": "on"}
    return " · ".join(f"{name} {rows[key]}" for key, name in names.items() if key in rows)


def _tiles(rows: Rows) -> list[Line]:
    """The headline: the most important figures."""
    tiles = {key: figure.tile for key, figure in FIGURES.items() if figure.tile and rows.get(key) is not None}
    return [Line(title, written(key, rows[key]), is_doubt=rows[key] is False) for key, title in tiles.items()]


def _sections(rows: Rows) -> dict[str, list[Line]]:
    """The tables of the figures that are known."""
    sections = {title: _lines(rows, [key for key in figures if key in rows]) for title, figures in SECTIONS.items()}
    return {title: lines for title, lines in sections.items() if lines}


def _folded(rows: Rows) -> dict[str, list[Line]]:
    """The tables of what few want to read."""
    versions = {key.removeprefix("versions."): value for key, value in rows.items() if key.startswith("versions.")}
    known = {"notice", "command", *FIGURES}
    rest = [key for key in rows if key not in known and not key.startswith(HIDDEN)]
    tables = {"Versions": _lines(versions, versions), "Everything else in summary.json": _lines(rows, rest)}
    return {title: lines for title, lines in tables.items() if lines}


def _lines(rows: Rows, keys: Iterable[str]) -> list[Line]:
    lines = []
    for key in keys:
        figure = FIGURES.get(key, Figure(key.replace(".", " · ")))
        title = f"Training {TRACKS[rows['track']].examples}" if key == "examples" and "track" in rows else figure.title
        lines.append(Line(title, written(key, rows[key]), figure.meaning))
    return lines
