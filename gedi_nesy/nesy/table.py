"""A user's own examples: a CSV table with one column for each variable of the query."""

import contextlib
import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from gedi_nesy.data.inputs import read_picture, read_vectors
from gedi_nesy.errors import UserError
from gedi_nesy.files import read_regular
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.program import to_python
from gedi_nesy.logic.query import parse_goal
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.inputs import Inputs, join


class Table(NamedTuple):
    """What a table says: the inputs, for each argument its N values, and the line that each example is in."""

    inputs: Inputs
    arguments: dict[str, list[object]]
    lines: tuple[int, ...]


def read_table(
    path: Path, constraint: Constraint, size: tuple[int, int] | None = (28, 28), channels: int | None = 1
) -> Examples:
    """Read examples of a rule whose networks read pictures of one shape, by default grey ones of 28x28 pixels.

    Raises:
        UserError: as `read_inputs`, or networks read pictures of different shapes.
    """
    inputs, arguments, lines = read_inputs(path, constraint, size, channels)
    pool = inputs.single_pool
    uses = sum(len(column.unique()) for column in inputs.rows.values())
    answers = constraint.number_arguments(arguments)
    return Examples(pool, inputs.rows, answers, symbols={}, reused=uses > len(pool), lines=lines)


def read_inputs(
    path: Path,
    constraint: Constraint,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    features: Path | None = None,
) -> Table:
    """Read examples of a rule whose networks may read different kinds of inputs.

    Args:
        path: a CSV file whose first line names the query's variables. Under an image's variable stand paths of image
            files, relative to the table; under an argument its values.
        constraint: the rule.
        size: (height, width) to which the pictures are resized; by default they keep their own.
        channels: 1 makes them grey and 3 colour; by default they keep their own.
        features: a feature file (`data.inputs.read_vectors`): its vectors are the inputs of the columns that it has.

    Raises:
        UserError: if a column, a value or an image is missing or unlike the others, with its line; or the feature file
            does not fit the table.
    """
    lines = _read_lines(path, list(constraint.query.names))
    cells = {image: [line[image] for line in lines.values()] for image in constraint.query.images}
    vectors = read_vectors(features, cells) if features else {}
    columns = _distinct(vectors)
    columns |= _pictures(path, [image for image in cells if image not in vectors], lines, size, channels)
    numbers = tuple(lines)
    inputs = join(constraint, {image: columns[image] for image in cells}, lambda k: f"{path}, line {numbers[k]}")
    return Table(inputs, _arguments(path, constraint, lines), numbers)


def _pictures(
    path: Path,
    images: Sequence[str],
    lines: Mapping[int, Mapping[str, str]],
    size: tuple[int, int] | None,
    channels: int | None,
) -> dict[str, list[Tensor]]:
    """For each image of the query its picture in every line; a file is read once."""
    read: dict[str, Tensor] = {}
    for number, line in lines.items():
        for name in (line[image] for image in images):
            if name not in read:
                with _in_line(path, number):
                    read[name] = read_picture(path.parent / name, size, channels)
    return {image: [read[line[image]] for line in lines.values()] for image in images}


def _distinct(vectors: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
    """The rows of each column, [N, D], as N tensors; equal ones are the same tensor."""
    first: dict[bytes, Tensor] = {}
    return {
        image: [first.setdefault(row.numpy().tobytes(), row) for row in values] for image, values in vectors.items()
    }


def _arguments(path: Path, constraint: Constraint, lines: Mapping[int, Mapping[str, str]]) -> dict[str, list[object]]:
    """For each argument its value in every line."""
    possible = {name: constraint.argument_values(name)[0] for name in constraint.arguments}
    arguments: dict[str, list[object]] = {name: [] for name in constraint.arguments}
    for number, line in lines.items():
        with _in_line(path, number):
            values = tuple(_value(line[name], name, known) for name, known in possible.items())
            if values:
                constraint.check_possible(values)
        for name, value in zip(constraint.arguments, values, strict=True):
            arguments[name].append(value)
    return arguments


@contextlib.contextmanager
def _in_line(path: Path, number: int) -> Iterator[None]:
    """A UserError from inside says the line that it comes from."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}, line {number}: {error}") from None


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
