"""A small table as HTML, for notebooks; every text in it is escaped."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(rows: Iterable[Sequence[object]], heading: Sequence[object] = ()) -> str:
    """The rows as a table whose first column names them.

    Args:
        rows: the cells of each row.
        heading: the cells above them, if there are any.

    Example:
        >>> html_table([("X", "<b>")])
        '<table><tbody><tr><th>X</th><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(str(cell))}</th>" for cell in heading)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def _cells(row: Sequence[object]) -> str:
    first, *rest = (escape(str(cell)) for cell in row)
    return f"<th>{first}</th>" + "".join(f"<td>{cell}</td>" for cell in rest)
