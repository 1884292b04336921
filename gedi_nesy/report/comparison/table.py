"""A comparison as a table, on the terminal and in Markdown: ours beside what the paper reports."""

from gedi_nesy.report.comparison.tally import Comparison, Line, Spread

PAPER = "paper"


def text_table(comparison: Comparison) -> str:
    """One line a method and what it was trained on: median±standard deviation of each figure over the seeds."""
    lines = _texts(comparison)
    widths = [max(len(text) for text in column) for column in zip(*lines, strict=True)]
    return "".join(_aligned(line, widths) + "\n" for line in lines)


def markdown_table(comparison: Comparison) -> str:
    """The same table in Markdown."""
    header, *lines = _texts(comparison)
    rows = [header, ["---"] + ["---:"] * (len(header) - 1), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _texts(comparison: Comparison) -> list[list[str]]:
    """The header, then the lines; beside each figure that the paper reports is a column with the paper's."""
    lines = comparison.lines()
    reported = {key for line in lines for key in line.published}
    header = ["method", comparison.axis, "runs"]
    for key, label in comparison.figures.items():
        header += [label, PAPER] if key in reported else [label]
    return [header, *(_line(line, comparison, reported) for line in lines)]


def _aligned(texts: list[str], widths: list[int]) -> str:
    """The first column to the left, numbers to the right."""
    numbers = (text.rjust(width) for text, width in zip(texts[1:], widths[1:], strict=True))
    return "  ".join([texts[0].ljust(widths[0]), *numbers]).rstrip()


def _line(line: Line, comparison: Comparison, reported: set[str]) -> list[str]:
    texts = [line.method, str(line.on), _runs(line)]
    for key in comparison.figures:
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
    digits = 0 if spread.median >= 10 else digits  # seconds
    return "±".join(_number(value, digits) for value in (spread.median, spread.std) if value is not None)


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text
