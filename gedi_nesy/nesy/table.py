"""A user's own examples: a CSV table with one column for each variable of the query."""

import contextlib
import csv
import io
from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from gedi_nesy.data.image_file import read_image
from gedi_nesy.errors import UserError
from gedi_nesy.files import read_regular
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.program import to_python
from gedi_nesy.logic.query import parse_goal
from gedi_nesy.nesy.examples import Examples


def read_table(path: Path, constraint: Constraint, size: tuple[int, int] = (28, 28)) -> Examples:
    """Read examples of a rule.

    Args:
        path: a CSV file whose first line names the query's variables. Under an image's variable stand paths of image
            files, relative to the table; under an argument its values.
        constraint: the rule.
        size: (height, width) to which the images are resized; they become grey.

    Raises:
        UserError: if a column, a value or an image is missing, with the line it is missing from.
    """
    lines = _read_lines(path, list(constraint.query.names))
    images: dict[str, Tensor] = {}  # of each file
    arguments: dict[str, list[object]] = {name: [] for name in constraint.arguments}
    possible = {name: constraint.argument_values(name)[0] for name in constraint.arguments}
    for number, line in lines.items():
        try:
            for name in (line[image] for image in constraint.query.images):
                if name not in images:
                    images[name] = read_image(path.parent / name, size)
            values = tuple(_value(line[name], name, known) for name, known in possible.items())
            if values:
                constraint.check_possible(values)
        except UserError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
        for name, value in zip(constraint.arguments, values, strict=True):
            arguments[name].append(value)
    pool, row_of = torch.stack([*images.values()]), {name: row for row, name in enumerate(images)}
    rows = {name: torch.tensor([row_of[line[name]] for line in lines.values()]) for name in constraint.query.images}
    uses = sum(len(column.unique()) for column in rows.values())
    answers = constraint.number_arguments(arguments)
    return Examples(pool, rows, answers, symbols={}, reused=uses > len(pool), lines=tuple(lines))


def count_rows(path: Path) -> int:
    """How many examples a table has, whatever they are.

    Raises:
        UserError: if it can't be read, or has none.
    """
    return len(_read_lines(path, []))


def _read_lines(path: Path, columns: list[str]) -> dict[int, dict[str, str]]:
    """The examples, by the line of the file that they are in."""
    try:
        with io.StringIO(read_regular(path).decode("utf-8-sig"), newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            for name in columns:
                if (times := reader.fieldnames.count(name)) != 1:
                    found = f"no column {name!r}" if not times else f"{times} columns {name!r}"
                    wanted = f"{', '.join(columns)}{', with commas between them' * (len(columns) > 1)}"
                    raise UserError(f"{path} has {found}: its first line must name {wanted}.")
            lines: dict[int, dict[str, str]] = {}
            for line in reader:
                lines[reader.line_num] = {k: v.strip() if isinstance(v, str) else v for k, v in line.items()}
    except OSError as error:
        raise UserError(f"The table {path} can't be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV table in UTF-8: {error}.") from error
    for number, line in lines.items():
        if None in line:
            raise UserError(f'{path}, line {number}: more values than columns; a list needs quotes, as in "[1,2]".')
        empty = [name for name in columns if not line[name]]
        if empty:
            raise UserError(f"{path}, line {number}: no value for {empty[0]}.")
    if not lines:
        raise UserError(f"{path} has no examples below its first line.")
    return lines


def _value(text: str, name: str, known: Collection[object]) -> object:
    """An argument's value as the rule has it: a number, a name of its own, or a list or another term of Prolog."""
    number = _number(text)
    for value in (number, text):
        if value in known:
            return value
    if text.startswith("["):
        return to_python(parse_goal(text, f"the value of {name}"))
    with contextlib.suppress(UserError):  # 'Big Bird' or who( cat ), as a program may write it
        if (term := to_python(parse_goal(text))) in known:
            return term
    return text if number is None else number


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return None
