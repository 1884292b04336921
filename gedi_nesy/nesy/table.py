"""A user's own examples: a CSV table with one column for each variable of the query, or arrays."""

import contextlib
import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from gedi_nesy.data.inputs import as_inputs, read_picture, read_vectors
from gedi_nesy.data.npz import load_arrays
from gedi_nesy.errors import UserError, did_you_mean
from gedi_nesy.files import read_regular
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.program import to_python
from gedi_nesy.logic.query import parse_goal
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.inputs import Inputs, from_arrays, join
from gedi_nesy.nesy.queries import Queries, Rule
from gedi_nesy.nesy.recipe import Recipe

BESIDE = "_features"  # after a variable's name in an .npz file: the array of its features


class Table(NamedTuple):
    """The contents of a table: the inputs, for each argument its N values, and the line of each example.

    Features beside pictures say which are alike; for each image of the query they are its pool's features, [n, D].
    """

    inputs: Inputs
    arguments: dict[str, list[object]]
    lines: tuple[int, ...]
    features: dict[str, Tensor]


def read_own(
    recipe: Recipe, constraint: Constraint, folder: Path, other: Path | None = None, features: Path | None = None
) -> Examples:
    """The examples that a recipe names, or another table's, read in the same way.

    Args:
        recipe: its `data`, if relative, is a file of the run's folder.
        constraint: the rule.
        folder: the run's.
        other: a table in place of the recipe's.
        features: a feature file for it; by default the recipe's, where a network reads vectors.

    Raises:
        UserError: as `read_table`.
    """
    if features is None and recipe.features and not (other and not _reads_vectors(recipe)):
        features = Path(recipe.features)
    return read_table(other or folder / str(recipe.data), constraint, recipe.size, recipe.channels, features)


def _reads_vectors(recipe: Recipe) -> bool:
    return any(read.kind == "vector" for read in recipe.inputs.values())


def read_examples(
    recipe: Recipe, rule: Rule, folder: Path, other: Path | None = None, features: Path | None = None
) -> list[Examples]:
    """The examples of each query of a rule; see `read_own` for the arguments.

    Of several queries, a line of a CSV table belongs to the query whose columns it fills, and an .npz file has arrays
    `1.X` for the variable X of the first query, and so on.

    Raises:
        UserError: as `read_table`, or a query has no examples.
    """
    if not isinstance(rule, Queries):
        return [read_own(recipe, rule, folder, other, features)]
    path = other or folder / str(recipe.data)
    if path.suffix == ".npz":
        return examples_of_each(rule, load_arrays(path))
    if features or (recipe.features and not other):
        raise UserError(f"--features go with a single query; of {len(rule.parts)} queries leave them out.")
    size, channels, examples = recipe.size, recipe.channels, []
    for part, lines in zip(rule.parts, _lines_of_each(path, rule), strict=True):
        examples.append(_as_examples(part, _read_lines(path, part, lines, size, channels, None)))
    return examples


def _lines_of_each(path: Path, rule: Queries) -> list[dict[int, dict[str, str]]]:
    """For each query the lines of a table that fill its columns and no other query's."""
    queries = [set(part.query.names) for part in rule.parts]
    if len({frozenset(names) for names in queries}) < len(queries):
        raise UserError("Two queries have the same variables, so no line of a table tells them apart; rename some.")
    columns = list(dict.fromkeys(name for part in rule.parts for name in part.query.names))
    lines_of: list[dict[int, dict[str, str]]] = [{} for _ in queries]
    for number, line in read_lines(path, [], columns).items():
        filled = {name for name in columns if line[name]}
        if filled not in queries:
            has = ", ".join(name for name in columns if name in filled) or "none"
            wanted = " or ".join(", ".join(part.query.names) for part in rule.parts)
            raise UserError(f"{path}, line {number}: of the queries' columns {has} are filled; fill {wanted}.")
        lines_of[queries.index(filled)][number] = line
    for part, lines in zip(rule.parts, lines_of, strict=True):
        if not lines:
            raise UserError(f"{path} has no example of {part.query.goal}: no line fills {', '.join(part.query.names)}.")
    return lines_of


def read_table(
    path: Path,
    constraint: Constraint,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    features: Path | None = None,
) -> Examples:
    """Read examples of a rule, see `read_inputs`; or from an .npz file with an array for each variable of the query.

    Beside an array X of pictures, X_features may say which of them are alike, [N, D].

    Raises:
        UserError: as `read_inputs`, or as `inputs.from_arrays`.
    """
    if path.suffix == ".npz":
        if size or channels or features:
            raise UserError(f"{path} holds arrays; --size, --channels and --features go with a CSV table of images.")
        return examples_of(constraint, load_arrays(path))
    return _as_examples(constraint, read_inputs(path, constraint, size, channels, features))


def examples_of(constraint: Constraint, arrays: Mapping[str, Any]) -> Examples:
    """Examples from arrays or tensors, one for each variable of the query, and X_features beside an X.

    Raises:
        UserError: as `inputs.from_arrays`.
    """
    inputs, arguments = from_arrays(constraint, arrays)
    known = [*constraint.query.names, *(image + BESIDE for image in constraint.query.images)]
    for name in arrays:
        if name not in known:
            raise UserError(f"The data have {name}, which is none of {', '.join(known)}{did_you_mean(name, known)}.")
    beside = {image: arrays[image + BESIDE] for image in inputs.rows if image + BESIDE in arrays}
    features = _beside(inputs, {image: as_inputs(image + BESIDE, values) for image, values in beside.items()})
    return _as_examples(constraint, Table(inputs, arguments, tuple(range(1, len(inputs) + 1)), features))


def examples_of_each(rule: Rule, arrays: Mapping[str, Any]) -> list[Examples]:
    """Examples of each query of a rule, of several from arrays with names as `numbered` gives them.

    Raises:
        UserError: as `inputs.from_arrays`, or a query has no arrays.
    """
    if not isinstance(rule, Queries):
        return [examples_of(rule, arrays)]
    examples = []
    for k, part in enumerate(rule.parts, 1):
        own = {name.removeprefix(f"{k}."): values for name, values in arrays.items() if name.startswith(f"{k}.")}
        if not own:
            raise UserError(
                f"The data have nothing for {part.query.goal}: give a mapping for each query, data=[{{...}}, {{...}}], "
                f"or in an .npz file arrays such as {k}.{part.query.names[0]}."
            )
        examples.append(examples_of(part, own))
    return examples


def numbered(data: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The arrays of several queries as one mapping: `1.X` is the variable X of the first query."""
    if len(data) == 1:
        return dict(data[0])
    return {f"{k}.{name}": values for k, own in enumerate(data, 1) for name, values in own.items()}


def count_arrays(arrays: Mapping[str, Any]) -> int:
    """How many examples arrays hold, of all queries together."""
    longest: dict[str, int] = {}
    for name, values in arrays.items():
        if not hasattr(values, "__len__"):
            raise UserError(f"{name} is {values!r}; give one value for each example.")
        query = name.rpartition(".")[0]
        longest[query] = max(longest.get(query, 0), len(values))
    return sum(longest.values())


def _as_examples(constraint: Constraint, table: Table) -> Examples:
    inputs = table.inputs
    sizes = {id(pool): len(pool) for pool in inputs.pools.values()}
    uses = sum(len(column.unique()) for column in inputs.rows.values())
    answers = constraint.number_arguments(table.arguments)
    return Examples(inputs, answers, {}, uses > sum(sizes.values()), table.lines, table.features)


def _beside(inputs: Inputs, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Features by example, [N, D] for each image, as one for each input of the image's pool.

    Raises:
        UserError: there are more or fewer than examples, or they are no vectors, or differ in length.
    """
    for image, values in vectors.items():
        if values.dim() != 2 or len(values) != len(inputs):
            raise UserError(f"The features of {image} are {list(values.shape)}; give [{len(inputs)}, D].")
    if len({values.shape[1] for values in vectors.values()}) > 1:
        raise UserError(f"The features of {', '.join(vectors)} differ in length; give all the same.")
    pools = {id(inputs.pools[image]) for image in vectors}
    for image, pool in inputs.pools.items():
        if id(pool) in pools and image not in vectors:
            raise UserError(
                f"There are no features of {image}, whose images are of the kind of {min(vectors)}'s; add them."
            )
    return inputs.per_input(vectors)


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
        features: a feature file (`data.inputs.read_vectors`). In a column of image files its vectors say
            which images are alike; in another one they are the inputs.

    Raises:
        UserError: if a column, a value or an image is missing or unlike the others, with its line; or the feature file
            does not fit the table.
    """
    return _read_lines(path, constraint, read_lines(path, list(constraint.query.names)), size, channels, features)


def _read_lines(
    path: Path,
    constraint: Constraint,
    lines: Mapping[int, Mapping[str, str]],
    size: tuple[int, int] | None,
    channels: int | None,
    features: Path | None,
) -> Table:
    """`read_inputs` from some lines of the table."""
    cells = {image: [line[image] for line in lines.values()] for image in constraint.query.images}
    vectors = read_vectors(features, cells) if features else {}
    beside = {image: x for image, x in vectors.items() if any((path.parent / cell).is_file() for cell in cells[image])}
    columns = _distinct({image: x for image, x in vectors.items() if image not in beside})
    columns |= _pictures(path, [image for image in cells if image not in columns], lines, size, channels)
    numbers = tuple(lines)
    inputs = join(constraint, {image: columns[image] for image in cells}, lambda k: f"{path}, line {numbers[k]}")
    return Table(inputs, read_arguments(path, constraint, lines), numbers, _beside(inputs, beside))


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
                with in_line(path, number):
                    read[name] = read_picture(path.parent / name, size, channels)
    return {image: [read[line[image]] for line in lines.values()] for image in images}


def _distinct(vectors: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
    """The rows of each column, [N, D], as N tensors; equal ones are the same tensor."""
    first: dict[bytes, Tensor] = {}
    return {
        image: [first.setdefault(row.numpy().tobytes(), row) for row in values] for image, values in vectors.items()
    }


def read_arguments(
    path: Path, constraint: Constraint, lines: Mapping[int, Mapping[str, str]]
) -> dict[str, list[object]]:
    """For each argument its value in every line of a table.

    Raises:
        UserError: the rule is impossible for one, with its line.
    """
    possible = {name: constraint.argument_values(name)[0] for name in constraint.arguments}
    arguments: dict[str, list[object]] = {name: [] for name in constraint.arguments}
    for number, line in lines.items():
        with in_line(path, number):
            values = tuple(read_value(line[name], name, known) for name, known in possible.items())
            if values:
                constraint.check_possible(values)
        for name, value in zip(constraint.arguments, values, strict=True):
            arguments[name].append(value)
    return arguments


@contextlib.contextmanager
def in_line(path: Path, number: int) -> Iterator[None]:
    """Add the line of the table to a UserError from inside the block."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}, line {number}: {error}") from None


def count_rows(path: Path) -> int:
    """How many examples a table or a file of arrays has, whatever they are.

    Raises:
        UserError: if it can't be read, or has none.
    """
    if path.suffix == ".npz":
        return count_arrays({name: array for name, array in load_arrays(path).items() if array.ndim})
    return len(read_lines(path, []))


def read_lines(path: Path, columns: list[str], others: Sequence[str] = ()) -> dict[int, dict[str, str]]:
    """The rows of a CSV file, by the line of the file that they are in.

    Args:
        path: of the file.
        columns: that it must have, with a value in every line.
        others: that it must have.

    Raises:
        UserError: it can't be read, has no rows, or lacks a column or a value of one.
    """
    try:
        with io.StringIO(read_regular(path).decode("utf-8-sig"), newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            for name in (named := [*columns, *others]):
                if (times := reader.fieldnames.count(name)) != 1:
                    has = f"no column {name!r}" if not times else f"{times} columns {name!r}"
                    wanted = f"{', '.join(named)}{', with commas between them' * (len(named) > 1)}"
                    raise UserError(f"{path} has {has}: its first line must name {wanted}.")
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


def read_value(text: str, name: str, known: Collection[object]) -> object:
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
