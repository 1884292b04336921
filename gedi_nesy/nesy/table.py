"""A user's own examples: a CSV table with one column for each variable of the query."""

import contextlib
import csv
from pathlib import Path

import torch
from torch import Tensor

from gedi_nesy.data.image_file import read_image
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.constraint import Constraint
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.grounding import parse_goal
from gedi_nesy.nesy.program import to_python


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
    for number, line in lines.items():
        try:
            for name in (line[image] for image in constraint.query.images):
                if name not in images:
                    images[name] = read_image(path.parent / name, size)
            values = tuple(_value(line[name]) for name in constraint.arguments)
        except UserError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
        if values and values not in constraint.answers:
            given = ", ".join(f"{name} = {value}" for name, value in zip(constraint.arguments, values, strict=True))
            raise UserError(f"{path}, line {number}: the rule is impossible for {given}.")
        for name, value in zip(constraint.arguments, values, strict=True):
            arguments[name].append(value)
    pool, row_of = torch.stack([*images.values()]), {name: row for row, name in enumerate(images)}
    rows = {name: torch.tensor([row_of[line[name]] for line in lines.values()]) for name in constraint.query.images}
    uses = sum(len(column.unique()) for column in rows.values())
    return Examples(pool, rows, arguments, symbols={}, reused=uses > len(pool))


def _read_lines(path: Path, columns: list[str]) -> dict[int, dict[str, str]]:
    """The examples, by the line of the file that they are in."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            missing = sorted(set(columns) - set(reader.fieldnames or ()))
            if missing:
                raise UserError(f"{path} has no column {missing[0]!r}: its first line must name {', '.join(columns)}.")
            lines: dict[int, dict[str, str]] = {}
            for line in reader:
                lines[reader.line_num] = line
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


def _value(text: str) -> object:
    """An argument's value as the rule has it: a number, a list such as [1,2], or a symbol."""
    if text.strip().startswith("["):
        return to_python(parse_goal(text))
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text.strip()
