"""What a caller passes in for a query's arguments: one value for each example, or the number of each value."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from functools import partial
from itertools import accumulate, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.logic.answers import LISTED, Answers
from gedi_nesy.logic.ground import Argument, Value
from gedi_nesy.logic.looks import Looks
from gedi_nesy.logic.query import Query

Answer = tuple[Value, ...]  # a value for each argument
Arguments = Mapping[str, Sequence[Value]] | Tensor

ANOTHER = "another"  # stands for a value that the rule does not ask for
OPEN = -1  # stands for the number of a value that is not given


class _Places(NamedTuple):
    """Where the arguments' literals lie, on one device.

    Attributes:
        first: literal of each argument, [arguments].
        highest: number of each, the one of all values that the rule does not ask for, [arguments].
        owner: the argument of each literal, [literals].
        another: whether a literal stands for all values that the rule does not ask for, [literals].
    """

    first: Tensor
    highest: Tensor
    owner: Tensor
    another: Tensor


class ArgumentReader:
    """Reads the values of a query's arguments as the numbers that the rule has for them.

    Args:
        query: the goal.
        variables: its arguments, those that are lists element by element.
        answers: those for which the rule is possible.
        open_tests: predicates by which there may be further answers, found only with the arguments given.
        has_answer: whether the rule is possible for an answer that was not found; slow.
        looks: at whether numbers are those of values.
    """

    def __init__(
        self,
        query: Query,
        variables: Sequence[Argument],
        answers: Answers,
        open_tests: Sequence[str],
        has_answer: Callable[[Answer], bool],
        looks: Looks,
    ) -> None:
        self.query, self.variables, self.answers, self.looks = query, variables, answers, looks
        self.open_tests, self.has_answer = open_tests, has_answer
        names = (*query.arguments, *query.evidence)
        self._places = {name: [i for i, own in enumerate(variables) if own.name == name] for name in names}
        self._numbers_of = [{value: number for number, value in enumerate(own.domain)} for own in variables]
        self._first = [0, *accumulate(own.size for own in variables)]  # literal of each
        self._places_on: dict[torch.device, _Places] = {}
        self._refuted: set[Answer] = set()  # answers that were asked for and turned out impossible

    def read(self, arguments: Arguments | None) -> Tensor | None:
        """The number of each argument's value, int64 [batch, arguments]; None where the query has no arguments.

        Args:
            arguments: for each argument its value in each example, or these numbers themselves.

        Raises:
            UserError: an argument, a value or a number is wrong.
        """
        if isinstance(arguments, Tensor):
            return self._checked(arguments)
        given = arguments or {}
        if given.keys() != self._places.keys():
            raise UserError(f"arguments were given for {list(given)}, but the query has {list(self._places)}")
        return self.read_some(given) if given else None

    def read_some(self, arguments: Mapping[str, Sequence[Value]]) -> Tensor:
        """As `read`, with OPEN for an argument that is not given."""
        for name in arguments:
            if name not in self._places:
                raise UserError(f"argument {name} is none of the query's: {', '.join(self._places) or 'it has none'}")
        lengths = {count_values(*item) for item in arguments.items()}
        if len(lengths) > 1:
            raise UserError(f"arguments differ in their number of examples: {sorted(lengths)}")
        columns = {name: self._column(name, values) for name, values in arguments.items()}
        if self.open_tests and len(columns) == len(self._places):
            rows = zip(*(columns[name] for name in self._places), strict=True)
            self._check_unknown({row for row in rows if self._numbers(row) not in self.answers})
        numbers = torch.full((*lengths, len(self.variables)), OPEN)
        for name, column in columns.items():
            for place in self._places[name]:
                elements = [self._element(place, value) for value in column]
                numbers[:, place] = torch.tensor([self._number(place, element) for element in elements])
        return numbers

    def _checked(self, numbers: Tensor) -> Tensor:
        if not self.variables:
            raise UserError(f"the numbers of arguments were given, but the query {self.query.goal} has no arguments")
        wanted = len(self.variables)
        if numbers.dtype != torch.int64 or numbers.ndim != 2 or numbers.shape[1] != wanted:
            found = f"{list(numbers.shape)} {numbers.dtype}"
            raise UserError(
                f"the numbers of arguments must be int64 [batch, {wanted}], as number_arguments returns them, "
                f"not {found}"
            )
        highest = self._on(numbers.device).highest
        self.looks.look(((numbers < OPEN) | (numbers > highest)).any(), self._judge)
        return numbers.clamp(OPEN).minimum(highest)  # so that numbers outside do no harm until they are judged

    def _judge(self, outside: float) -> None:
        if outside:
            highest = [len(own.domain) for own in self.variables]
            raise UserError(f"the numbers of arguments lie between {OPEN} and {highest}, not outside")

    @torch.inference_mode(False)
    def _on(self, device: torch.device) -> "_Places":
        """Where the literals lie, copied to the device once: a copy in each call would make a GPU wait."""
        if device not in self._places_on:
            sizes = torch.tensor([own.size for own in self.variables])
            another = torch.zeros(self._first[-1], dtype=torch.bool)
            another[sizes.cumsum(0) - 1] = True
            places = _Places(
                torch.tensor(self._first[:-1]),
                torch.tensor([len(own.domain) for own in self.variables]),
                torch.arange(len(sizes)).repeat_interleave(sizes),
                another,
            )
            self._places_on[device] = _Places(*(part.to(device) for part in places))
        return self._places_on[device]

    def log_weights(self, numbers: Tensor, dtype: torch.dtype) -> Tensor:
        """log 1 for each argument's value, log 0 for its other ones; log 1 for all that an open one may have.

        Args:
            numbers: of the values, or OPEN, int64 [batch, arguments].
            dtype: of the weights.

        Returns:
            [batch, values of all arguments].
        """
        places = self._on(numbers.device)
        weights = numbers.new_full((len(numbers), self._first[-1]), -torch.inf, dtype=dtype)
        weights.scatter_(1, places.first + numbers.clamp(min=0), 0.0)
        is_open = (numbers == OPEN).index_select(1, places.owner) & ~places.another
        return weights.masked_fill_(is_open, 0.0)

    def answer(self, numbers: Sequence[int]) -> Answer:
        """The value of each argument, from the numbers of their values; ANOTHER where there is none such."""
        values = [(*own.domain, ANOTHER)[number] for own, number in zip(self.variables, numbers, strict=True)]
        return tuple(
            values[places[0]] if self._is_scalar(name) else tuple(values[place] for place in places)
            for name, places in self._places.items()
        )

    def values(self, name: str) -> list[tuple[Value, ...]]:
        """The values that the rule asks for, of an argument or of each of its elements."""
        return [self.variables[place].domain for place in self._places[name]]

    def check_possible(self, answer: Answer) -> None:
        """UserError if the rule is impossible for this answer."""
        pairs = zip(self._places, [_plain(value, ()) for value in answer], strict=True)
        read = tuple(value if self._is_scalar(name) else self._list(name, value) for name, value in pairs)
        if self._numbers(read) in self.answers:
            return
        if self.open_tests:
            self._check_unknown({read})
        given = ", ".join(f"{name} = {quoted(value)}" for name, value in zip(self._places, read, strict=True))
        raise UserError(f"the rule is impossible for {given}; possible are {self._some_answers()}.")

    def _some_answers(self) -> str:
        if self.answers.count is None:
            return "too many to list"
        listed = self.answers.all() if self.answers.count <= LISTED else list(islice(self.answers, 9))
        answers = [self.answer(numbers) for numbers in listed]
        return shortened([quoted(known[0] if len(known) == 1 else known) for known in answers]) or "none"

    def _is_scalar(self, name: str) -> bool:
        return self.variables[self._places[name][0]].place is None

    def _column(self, name: str, values: Any) -> list[Value]:
        places = self._places[name]
        if self._is_scalar(name):
            return read_values(name, values, self._numbers_of[places[0]], partial(self._others_possible, places[0]))
        known = dict.fromkeys(value for place in places for value in self._numbers_of[place])
        rows = [
            self._list(name, _plain(value, known), f" in example {example}")
            for example, value in enumerate(_listed(values, known))
        ]
        columns = [
            read_values(f"{name}, element {i}", column, self._numbers_of[place], partial(self._others_possible, place))
            for i, (place, column) in enumerate(zip(places, zip(*rows, strict=True), strict=False), 1)
        ]
        return list(zip(*columns, strict=True))

    def _list(self, name: str, value: Value, where: str = "") -> tuple[Value, ...]:
        """A list of the argument's length; of digits, also as a number or as text, leading zeros left out or not."""
        length = len(self._places[name])
        if isinstance(value, tuple):
            if len(value) == length:
                return value
            raise UserError(f"argument {name} is a list of {len(value)}{where}: {length} are needed")
        text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
        if not text.isdecimal() or not all(self._is_digit(place) for place in self._places[name]):
            raise UserError(f"argument {name} is {quoted(value)}{where}: a list of {length} is needed")
        digits = text.lstrip("0").rjust(length, "0")
        if len(digits) > length:
            raise UserError(f"argument {name} is {text}{where}, of more than its {length} digits")
        return tuple(map(int, digits))

    def _is_digit(self, place: int) -> bool:
        return all(value in range(10) for value in self._numbers_of[place])

    def _element(self, place: int, value: Value) -> Value:
        position = self.variables[place].place
        return value if position is None else value[position]

    def _number(self, place: int, value: Value) -> int:
        return self._numbers_of[place].get(value, len(self.variables[place].domain))

    def _numbers(self, answer: Answer) -> tuple[int, ...]:
        by_name = dict(zip(self._places, answer, strict=True))
        every = enumerate(own.name for own in self.variables)
        return tuple(self._number(place, self._element(place, by_name[name])) for place, name in every)

    def _others_possible(self, place: int) -> bool:
        return bool(self.open_tests) or self.answers.others_possible[place]

    def _check_unknown(self, answers: set[Answer]) -> None:
        """Whether answers that were not found while the arguments were open are impossible when they are given."""
        for answer in {answer[: len(self.query.arguments)] for answer in answers} - self._refuted:
            if self.has_answer(answer):
                raise UserError(
                    f"{self.query.given(answer)} has an answer, but the rule does not find it while "
                    f"{', '.join(self.query.arguments)} is open, by {', '.join(self.open_tests)}: let it find "
                    "the values first, as by between(0,9,N), or ask for one value as a query of its own"
                )
            self._refuted.add(answer)


def written(value: Value) -> str:
    """A value as a user may write it in a table."""
    return f"[{', '.join(map(written, value))}]" if isinstance(value, tuple) else str(value)


def quoted(value: Value) -> str:
    """A value as a user may write it in Python."""
    return f"[{', '.join(map(quoted, value))}]" if isinstance(value, tuple) else repr(value)


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


def read_values(name: str, values: Any, known: Collection[Value], others_possible: Callable[[], bool]) -> list[Value]:
    """The values as the rule's answers have them: numbers out of tensors, lists as tuples.

    Args:
        name: of the argument.
        values: one for each example.
        known: its values in the rule's answers, in a dictionary or set; a number of lower precision than theirs is the
            one that rounds to it.
        others_possible: whether the rule may hold for other values, too; if not, one of another kind is a mistake.

    Raises:
        UserError: a value is none, or of another kind than those known.
    """
    column = [_plain(value, known) for value in _listed(values, known)]
    for example, value in enumerate(column):
        kind = _kind(value)
        if kind is None:
            raise UserError(f"argument {name} is {value} in example {example}: a number, a name or a list is needed")
        if value in known or not known:
            continue
        kinds = sorted({str(_kind(other)) for other in known})
        if kind not in kinds and not others_possible():
            raise UserError(
                f"argument {name} is {quoted(value)} in example {example}, {kind}, and the rule's answers have "
                f"{' or '.join(kinds)}: pass one value for each example, such as {quoted(next(iter(known)))}"
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
