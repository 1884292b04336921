"""What the images of a rule's query are in N examples: pictures of any size and colour, or vectors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.data.inputs import as_inputs
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint


@dataclass(frozen=True, eq=False)
class Inputs:
    """N examples' inputs. Images of the query whose inputs have one shape share a pool.

    Attributes:
        pools: for each image of the query the inputs that it is taken from, uint8 [n, C, H, W] or float32 [n, D]; the
            same tensor where a pool is shared.
        rows: for each image of the query its row in its pool in each example, int64 [N].
    """

    pools: dict[str, Tensor]
    rows: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.rows.values())))

    @classmethod
    def of_pool(cls, pool: Tensor, rows: Mapping[str, Tensor]) -> "Inputs":
        """All images taken from one pool, uint8 [n, C, H, W] or float32 [n, D]."""
        return cls(dict.fromkeys(rows, pool), dict(rows))

    def take(self, chosen: Tensor) -> "Inputs":
        """The inputs of the examples with these numbers, int64 [n]; the pools stay."""
        return Inputs(self.pools, {image: rows[chosen] for image, rows in self.rows.items()})

    @property
    def single_pool(self) -> Tensor:
        """The pool of all images.

        Raises:
            UserError: networks read inputs of different shapes.
        """
        (image, first), *others = self.pools.items()
        for other, pool in others:
            if pool is not first:
                shapes = f"{image} is {_shape(first)} and {other} {_shape(pool)}"
                raise UserError(f"All networks must read inputs of one shape here; {shapes}.")
        return first

    def per_input(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """From one vector an example, float [N, D] for each image, to one vector a row of the image's pool, [n, D]."""
        merged: dict[int, Tensor] = {}
        for image, values in vectors.items():
            pool = self.pools[image]
            of_pool = merged.setdefault(id(pool), values.new_zeros(len(pool), values.shape[1]))
            of_pool[self.rows[image]] = values
        return {image: merged[id(self.pools[image])] for image in vectors}


def join(constraint: Constraint, columns: Mapping[str, Sequence[Tensor]], where: Callable[[int], str]) -> Inputs:
    """Inputs of each image of the query, one an example; an input that stands in several places is kept once.

    Args:
        constraint: the rule.
        columns: for each image of the query N pictures, uint8 [C, H, W], or vectors, float [D]; equal inputs are the
            same tensor.
        where: how messages name an example.

    Raises:
        UserError: a network would read inputs of different shapes.
    """
    check_shapes(constraint, columns, where)
    distinct: dict[torch.Size, dict[int, Tensor]] = {}
    for column in columns.values():
        for x in column:
            distinct.setdefault(x.shape, {})[id(x)] = x
    stacked = {shape: torch.stack([*inputs.values()]) for shape, inputs in distinct.items()}
    row_of = {key: row for inputs in distinct.values() for row, key in enumerate(inputs)}
    rows = {image: torch.tensor([row_of[id(x)] for x in column]) for image, column in columns.items()}
    return Inputs({image: stacked[column[0].shape] for image, column in columns.items()}, rows)


def check_shapes(constraint: Constraint, columns: Mapping[str, Sequence[Tensor]], where: Callable[[int], str]) -> None:
    """UserError, with its place, for the first input that is unlike the first that the same network reads."""
    for call in constraint.variables:
        like = {image for other in constraint.variables if other.network == call.network for image in other.inputs}
        first = next(image for image in columns if image in like)
        shape = columns[first][0].shape
        for image in call.inputs:
            wrong = next((k for k, x in enumerate(columns[image]) if x.shape != shape), None)
            if wrong is not None:
                vectors = len(shape) == 1 and columns[image][wrong].dim() == 1
                mend = "one length" if vectors else "one size and colour, or say which by --size and --channels"
                raise UserError(
                    f"{where(wrong)}: {image} is {_shape(columns[image][wrong])}, and {call.network} reads "
                    f"{_shape(columns[first][0])} in {where(0)}; give all {mend}."
                )


def from_arrays(constraint: Constraint, data: Mapping[str, Any]) -> tuple[Inputs, dict[str, list[object]]]:
    """Inputs and arguments from tensors or arrays, one for each variable of the query.

    Args:
        constraint: the rule.
        data: for each image of the query an array as `data.inputs.as_inputs` takes it, for each argument N values.

    Raises:
        UserError: a variable is missing, or differs in length or shape; or an argument's value is impossible.
    """
    wanted = constraint.query.names
    if missing := [name for name in wanted if name not in data]:
        raise UserError(f"The data have no {missing[0]}; give {', '.join(wanted)}, one value for each example.")
    columns = {image: as_inputs(image, data[image]) for image in constraint.query.images}
    arguments = {name: _values(data[name]) for name in constraint.arguments}
    lengths = {image: len(column) for image, column in columns.items()}
    lengths |= {name: len(values) for name, values in arguments.items()}
    if len(set(lengths.values())) > 1 or not all(lengths.values()):
        said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise UserError(f"The variables must have one value for each example: {said}.")
    check_shapes(constraint, {image: [column[0]] for image, column in columns.items()}, lambda k: f"row {k + 1}")
    check_answers(constraint, arguments, lambda k: f"row {k + 1}")
    return _pooled(columns), arguments


def check_answers(
    constraint: Constraint, arguments: Mapping[str, Sequence[object]], where: Callable[[int], str]
) -> None:
    """UserError, with its place, for the first example whose answer the rule makes impossible."""
    for k, answer in enumerate(zip(*arguments.values(), strict=True)):
        try:
            constraint.check_possible(answer)
        except UserError as error:
            raise UserError(f"{where(k)}: {error}") from None


def _pooled(columns: Mapping[str, Tensor]) -> Inputs:
    """Whole columns one after the other, each image's rows in their order."""
    by_shape: dict[torch.Size, list[str]] = {}
    for image, column in columns.items():
        by_shape.setdefault(column.shape[1:], []).append(image)
    pools, rows = {}, {}
    for images in by_shape.values():
        pool = torch.cat([columns[image] for image in images])
        for k, image in enumerate(images):
            n = len(columns[image])
            pools[image], rows[image] = pool, torch.arange(k * n, (k + 1) * n)
    return Inputs({image: pools[image] for image in columns}, {image: rows[image] for image in columns})


def _values(values: Any) -> list[object]:
    return values.tolist() if hasattr(values, "tolist") else list(values)


def describe_shape(shape: Sequence[int]) -> str:
    """The shape of an input, (C, H, W) or (D,), in words."""
    if len(shape) == 1:
        return f"a vector of {shape[0]} numbers"
    channels, height, width = shape
    return f"{'grey' if channels == 1 else 'colour'} of {height}x{width} pixels"


def _shape(x: Tensor) -> str:
    """The shape of an input, or of a pool's inputs, in words."""
    return describe_shape(x.shape[-1:] if x.dim() in (1, 2) else x.shape[-3:])
