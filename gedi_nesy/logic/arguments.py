"""The values of a query's argument as a caller gives them: one for each example, in a list, a tensor or an array."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.logic.ground import Value


def count_values(name: str, values: Any) -> int:
    """How many examples an argument has values for.

    Raises:
        UserError: it is no list of them.
    """
    try:
        if not isinstance(values, str | bytes | Mapping | Set):
            return len(values)
    except TypeError:
        pass
    raise UserError(f"argument {name} needs a list, one value for each example, not {values}")


def read_values(name: str, values: Any, known: Collection[Value], exhaustive: bool) -> list[Value]:
    """The values as the rule's answers have them: numbers out of tensors, lists as tuples.

    Args:
        name: of the argument.
        values: one for each example.
        known: its values in the rule's answers, in a dictionary or set; a number of lower precision than theirs is the
            one that rounds to it.
        exhaustive: there are no other answers, so that a value of another kind than theirs is a mistake.

    Raises:
        UserError: a value is none, or of another kind than those known.
    """
    column = [_plain(value, known) for value in _listed(values, known)]
    for example, value in enumerate(column):
        kind = _kind(value)
        if kind is None:
            raise UserError(f"argument {name} is {value} in example {example}: a number, a name or a list is needed")
        if value in known or not known or not exhaustive:
            continue
        kinds = sorted({str(_kind(other)) for other in known})
        if kind not in kinds:
            raise UserError(
                f"argument {name} is {value!r} in example {example}, {kind}, and the rule's answers have "
                f"{' or '.join(kinds)}: pass one value for each example, such as {next(iter(known))!r}"
            )
    return column


def _kind(value: Value) -> str | None:
    if isinstance(value, tuple):
        return "a list" if all(map(_kind, value)) else None
    if isinstance(value, str):
        return "a name"
    return "a number" if isinstance(value, int | float) and not math.isnan(value) else None


def _listed(values: Any, known: Collection[Value]) -> Sequence[Any]:
    """The values one by one; those of a tensor or an array in double precision."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        values = torch.as_tensor(values)
    if not isinstance(values, Tensor):
        return values.tolist() if hasattr(values, "tolist") else values
    listed: list[Any] = values.tolist()
    if values.is_floating_point() and values.dtype != torch.float64:
        numbers = list(_numbers_in(tuple(known)))
        rounded = torch.tensor(numbers, dtype=torch.float64).to(values.dtype).tolist()
        return [_replaced(value, dict(zip(rounded, numbers, strict=True))) for value in listed]
    return listed


def _numbers_in(value: Value) -> Iterator[float]:
    if isinstance(value, tuple):
        for element in value:
            yield from _numbers_in(element)
    elif isinstance(value, int | float):
        yield value


def _replaced(value: Any, exact: Mapping[float, float]) -> Any:
    return [_replaced(v, exact) for v in value] if isinstance(value, list) else exact.get(value, value)


def _plain(value: Any, known: Collection[Value]) -> Value:
    if isinstance(value, Tensor | np.ndarray | np.generic):
        (value,) = _listed(np.asarray(value)[None] if not isinstance(value, Tensor) else value[None], known)
    return tuple(_plain(element, known) for element in value) if isinstance(value, list | tuple) else value
