"""report.html: one file that shows a run to anyone, needs nothing beside it and loads nothing from anywhere."""

import base64
import mimetypes
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from gedi_nesy.errors import UserError
from gedi_nesy.files import read_regular, write_atomically
from gedi_nesy.report.captions import caption
from gedi_nesy.report.style import STYLE
from gedi_nesy.report.words import FIGURES, SECTIONS, TRACKS, Figure, show, written

SMALL = 800  # pixels up to which a picture can be read when it is shrunk to a phone's width
Rows = dict[str, Any]  # summary.json with its levels joined: {"certificate.D": 0.01, ...}


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
    parts = [
        _header(rows),
        _tiles(rows),
        *(figure(image) for image in images),
        *(_table(title, {key: rows[key] for key in keys if key in rows}) for title, keys in SECTIONS.items()),
        _details(rows, config),
    ]
    write_atomically(path, page(_title(rows), parts).encode(errors="replace"))  # a path in it may be no UTF-8


def page(title: str, parts: Sequence[str]) -> str:
    """A whole HTML file, which loads nothing, of its parts."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{chr(10).join(part for part in parts if part)}
</main>
</body>
</html>
"""


def flatten(values: Mapping[str, Any], prefix: str = "") -> Rows:
    """Nested dictionaries as one, their keys joined by dots."""
    rows: Rows = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows |= flatten(value, f"{prefix}{key}.")
        else:
            rows[f"{prefix}{key}"] = value
    return rows


def _title(rows: Rows) -> str:
    track = TRACKS.get(rows.get("track", "rule"), TRACKS["rule"])
    examples = f", {show(rows['examples'])} {track.examples}" if "examples" in rows else ""
    return f"{track.name} on {rows.get('dataset', 'unnamed data')}{examples}"


def _header(rows: Rows) -> str:
    facts = [
        f"{name} {rows[key]}" for name, key in (("method", "method"), ("seed", "seed"), ("on", "device")) if key in rows
    ]
    notice = f'<p class="notice"><strong>Note.</strong> {escape(str(rows["notice"]))}</p>' if rows.get("notice") else ""
    return f"<header><h1>{escape(_title(rows))}</h1><p>{escape(' · '.join(facts))}</p></header>{notice}"


def _tiles(rows: Rows) -> str:
    tiles = []
    for key, figure in FIGURES.items():
        if figure.tile and rows.get(key) is not None:
            css = ' class="doubt"' if rows[key] is False else ""
            tiles.append(f"<div{css}><dt>{escape(figure.tile)}</dt><dd>{escape(written(key, rows[key]))}</dd></div>")
    return f'<dl class="tiles">{"".join(tiles)}</dl>' if tiles else ""


def figure(image: Path) -> str:
    """A PNG file with its title and caption."""
    title, text = caption(image.stem)
    kind = mimetypes.guess_type(image.name)[0]
    try:
        png = read_regular(image, follow_links=False)
    except OSError as error:  # in a folder that comes from anybody it may be a link to what is private
        raise UserError(f"{image} can't be read: {error.strerror}; remove it.") from error
    wide = int.from_bytes(png[16:20], "big") > SMALL  # where a PNG has its width
    css, hint = ("plot wide", " <small>Scroll the picture sideways.</small>") if wide else ("plot", "")
    return (
        f'<section><h2>{escape(title)}</h2><figure><div class="{css}"><img alt="{escape(title)}" '
        f'src="data:{kind};base64,{base64.b64encode(png).decode()}"></div>'
        f"<figcaption>{escape(text)}{hint}</figcaption></figure></section>"
    )


def _table(title: str, rows: Rows) -> str:
    return f"<section><h2>{escape(title)}</h2>{_lines(rows)}</section>" if rows else ""


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _lines(rows: Rows) -> str:
    lines = []
    for key, value in rows.items():
        known = FIGURES.get(key, Figure(key.replace(".", " · ")))
        label = f"Training {TRACKS[rows['track']].examples}" if key == "examples" and "track" in rows else known.title
        note = f"<small>{escape(known.meaning)}</small>" if known.meaning else ""
        text = written(key, value)
        css = ' class="words"' if len(text) > 24 else ""
        lines.append(f'<tr><th scope="row">{escape(label)}{note}</th><td{css}>{escape(text)}</td></tr>')
    return f"<table><tbody>{''.join(lines)}</tbody></table>"


def _details(rows: Rows, config: str) -> str:
    """How to run it again, and what few want to read."""
    command = f"<pre>{escape(str(rows['command']))}</pre>" if "command" in rows else ""
    known = {"notice", "command", *FIGURES}
    versions = {key.removeprefix("versions."): value for key, value in rows.items() if key.startswith("versions.")}
    shown = {
        key: value for key, value in rows.items() if not key.startswith(("versions.", "familiarity.", "doubtful_rows"))
    }
    rest = {key: value for key, value in shown.items() if key not in known}
    folded = [
        _folded("The complete settings: config.toml", f"<pre>{escape(config)}</pre>"),
        _folded("Versions", _lines(versions)) if versions else "",
        _folded("Everything else in summary.json", _lines(rest)) if rest else "",
    ]
    return f"<section><h2>Run it again</h2>{command}{''.join(folded)}</section>"
