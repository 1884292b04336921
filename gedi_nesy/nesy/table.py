"""A user's own examples: a CSV table with one column for each variable of the query."""

import contextlib
import csv
from pathlib import Path

import torch

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
    files: dict[str, int] = {}  # each image file's row in the pool
    rows = {
        image: torch.tensor([files.setdefault(line[image], len(files)) for line in lines])
        for image in constraint.query.images
    }
    pool = torch.stack([read_image(path.parent / name, size) for name in files])
    arguments: dict[str, list[object]] = {name: [_value(line[name]) for line in lines] for name in constraint.arguments}
    names = constraint.arguments
    for number, values in enumerate(zip(*(arguments[name] for name in names), strict=True), start=2):
        if names and values not in constraint.answers:
            given = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
            raise UserError(f"{path}, line {number}: the rule is impossible for {given}.")
    uses = sum(len(column.unique()) for column in rows.values())
    return Examples(pool, rows, arguments, symbols={}, reused=uses > len(pool))


def _read_lines(path: Path, columns: list[str]) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            missing = sorted(set(columns) - set(reader.fieldnames or ()))
            if missing:
                raise UserError(f"{path} has no column {missing[0]!r}: its first line must name {', '.join(columns)}.")
            lines = list(reader)
    except OSError as error:
        raise UserError(f"The table {path} can't be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV table in UTF-8: {error}.") from error
    for number, line in enumerate(lines, start=2):
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
