"""What a caller passes in for a query's arguments: one value for each example, or the number of each one's answer."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.logic.ground import Value
from gedi_nesy.logic.query import Query

Answer = tuple[Value, ...]  # a value for each argument
Arguments = Mapping[str, Sequence[Value]] | Tensor


class Answers:
    """The numbered answers of a rule.

    Args:
        query: the goal.
        answers: those for which the rule is possible.
        open_tests: predicates by which there may be further answers, found only with the arguments given.
        has_answer: whether the rule is possible for an answer that was not found; slow.

    Attributes:
        impossible: the number of every answer for which the rule is impossible, one above all others.
    """

    def __init__(
        self,
        query: Query,
        answers: Sequence[Answer],
        open_tests: Sequence[str],
        has_answer: Callable[[Answer], bool],
    ) -> None:
        self.query, self.answers, self.open_tests, self.has_answer = query, answers, open_tests, has_answer
        self.impossible = len(answers)
        self._number_of = {answer: number for number, answer in enumerate(answers)}
        self._known = [dict.fromkeys(a[i] for a in answers) for i in range(len(query.arguments))]
        self._refuted: set[Answer] = set()  # answers that were asked for and turned out impossible

    def read(self, arguments: Arguments | None) -> Tensor | None:
        """The number of each example's answer, int64 [batch]; None where the query has no arguments.

        Args:
            arguments: for each argument its value in each example, or these numbers themselves.

        Raises:
            UserError: an argument, a value or a number is wrong.
        """
        if isinstance(arguments, Tensor):
            return self._checked(arguments)
        given = arguments or {}
        if given.keys() != set(self.query.arguments):
            raise UserError(f"arguments were given for {list(given)}, but the query has {list(self.query.arguments)}")
        return self._numbers(given) if given else None

    def _checked(self, numbers: Tensor) -> Tensor:
        if not self.query.arguments:
            raise UserError(f"the numbers of answers were given, but the query {self.query.goal} has no arguments")
        if numbers.dtype != torch.int64 or numbers.ndim != 1:
            found = f"{list(numbers.shape)} {numbers.dtype}"
            raise UserError(
                f"the numbers of answers must be int64 [batch], as number_answers returns them, not {found}"
            )
        if len(numbers):
            low, high = map(int, numbers.aminmax())
            if low < 0 or high > self.impossible:
                raise UserError(f"the answers have the numbers 0 to {self.impossible}, not {low} to {high}")
        return numbers

    def _numbers(self, arguments: Mapping[str, Sequence[Value]]) -> Tensor:
        lengths = {count_values(*item) for item in arguments.items()}
        if len(lengths) > 1:
            raise UserError(f"arguments differ in their number of examples: {sorted(lengths)}")
        columns = [
            read_values(name, arguments[name], known, exhaustive=not self.open_tests)
            for name, known in zip(self.query.arguments, self._known, strict=True)
        ]
        rows = list(zip(*columns, strict=True))
        if self.open_tests:
            self._check_unknown({row for row in rows if row not in self._number_of})
        return torch.tensor([self._number_of.get(row, self.impossible) for row in rows], dtype=torch.long)

    def check_possible(self, answer: Answer) -> None:
        """UserError if the rule is impossible for this answer."""
        if answer in self._number_of:
            return
        if self.open_tests:
            self._check_unknown({answer})
        given = ", ".join(f"{name} = {value!r}" for name, value in zip(self.query.arguments, answer, strict=True))
        possible = [known[0] if len(known) == 1 else known for known in self.answers]
        raise UserError(f"the rule is impossible for {given}; possible are {shortened(possible) or 'none'}.")

    def _check_unknown(self, answers: set[Answer]) -> None:
        """Whether answers that were not found while the arguments were open are impossible when they are given."""
        for answer in answers - self._refuted:
            if self.has_answer(answer):
                raise UserError(
                    f"{self.query.given(answer)} has an answer, but the rule does not find it while "
                    f"{', '.join(self.query.arguments)} is open, by {', '.join(self.open_tests)}: let it find "
                    "the values first, as by between(0,9,N), or ask for one value as a query of its own"
                )
            self._refuted.add(answer)


def shortened(values: Sequence[Any]) -> str:
    """The first eight values, with commas between them."""
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")


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
