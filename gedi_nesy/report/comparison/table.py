"""A comparison as a table, on the terminal and in Markdown: ours beside what the paper reports."""

from collections.abc import Sequence

from gedi_nesy.report.comparison.tally import Comparison, Line, Spread

PAPER = "paper"


def text_table(comparison: Comparison) -> str:
    """One line a method and what it was trained on: median±standard deviation of each figure over the seeds."""
    return "\n".join(_heading(title, "\n") + _aligned(lines) for title, lines in tables(comparison))


def markdown_table(comparison: Comparison) -> str:
    """The same in Markdown."""
    return "\n".join(_heading(title, "\n\n") + markdown_lines(lines) for title, lines in tables(comparison))


def markdown_lines(lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, of its header and lines: the first column to the left, numbers to the right."""
    header, *rest = lines
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, ["---"] + ["---:"] * (len(header) - 1), *rest))


def _heading(title: str, after: str) -> str:
    return f"{title}{after}" if title else ""


def tables(comparison: Comparison) -> list[tuple[str, list[list[str]]]]:
    """The title, header and lines of each table; of a single one the title is empty."""
    tables = comparison.tables or {"": list(comparison.figures)}
    return [(title, _texts(comparison, figures)) for title, figures in tables.items()]


def _texts(comparison: Comparison, figures: Sequence[str]) -> list[list[str]]:
    """The header, then the lines; beside each figure that the paper reports is a column with the paper's."""
    lines = comparison.lines()
    reported = {key for line in lines for key in line.published}
    header = ["method", comparison.axis, "runs"]
    for key in figures:
        header += [comparison.figures[key], PAPER] if key in reported else [comparison.figures[key]]
    return [header, *(_line(line, figures, reported) for line in lines)]


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """The first column to the left, numbers to the right."""
    columns = list(zip(*lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    padded = ([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines)
    return "".join("  ".join(texts).rstrip() + "\n" for texts in padded)


def _line(line: Line, figures: Sequence[str], reported: set[str]) -> list[str]:
    texts = [line.method, str(line.on), _runs(line)]
    for key in figures:
        texts.append(_figure(line, key))
        if key in reported:
            texts.append(_spread(line.published[key], 2) if key in line.published else "")
    return texts


def _runs(line: Line) -> str:
    runs = str(line.runs) if line.finished == line.runs else f"{line.finished} of {line.runs}"
    return f"{runs}, {line.failed} failed" if line.failed else runs


def _figure(line: Line, key: str) -> str:
    figure = line.figures.get(key)
    if figure is None:
        return "" if line.finished else "not run"
    return _spread(figure, 3) if isinstance(figure, Spread) else f"{figure} of {line.finished}"


def _spread(spread: Spread, digits: int) -> str:
    digits = 0 if spread.centre >= 10 else digits  # seconds
    return "±".join(f"{value:.{digits}f}" for value in (spread.centre, spread.std) if value is not None)
