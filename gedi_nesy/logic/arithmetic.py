"""ISO Prolog's arithmetic, where ProbLog's, which is Python's, differs or fails."""

import math
from collections.abc import Callable
from typing import Any

from problog.logic import ArithmeticError as ProbLogArithmeticError
from problog.logic import Constant, _arithmetic_functions, unquote

from gedi_nesy.logic.syntax import BITS, DIGITS

Number = int | float


def evaluate(term: Any) -> Number:
    """The value of a ground arithmetic term.

    Raises:
        ArithmeticError: ProbLog's: it has none; the engine adds where the term stands.
    """
    if isinstance(term, Constant):
        if isinstance(term.functor, int | float):
            return term.functor
        raise ProbLogArithmeticError(f"{term} is text, not a number")
    name = unquote(term.functor)
    if (name, term.arity) not in FUNCTIONS:
        raise ProbLogArithmeticError(f"Unknown function {name}/{term.arity}")
    values = [evaluate(argument) for argument in term.args]
    call = f"{name} of {' and '.join(map(str, values))}"
    try:
        result = FUNCTIONS[name, term.arity](*values)
    except ZeroDivisionError:
        raise ProbLogArithmeticError("Division by zero") from None
    except TypeError:
        raise ProbLogArithmeticError(f"{call} is not defined, only of whole numbers") from None
    except (OverflowError, ValueError):
        raise ProbLogArithmeticError(f"{call} is no number, or has more than {DIGITS:,} digits") from None
    if isinstance(result, complex) or (isinstance(result, int) and result.bit_length() > BITS):
        raise ProbLogArithmeticError(f"{call} is no number, or has more than {DIGITS:,} digits")
    if term.args and _infinite(result) and not any(map(_infinite, values)):
        raise ProbLogArithmeticError(f"{call} is too large")
    return result


def _infinite(value: Number) -> bool:
    """Or not a number."""
    return isinstance(value, float) and not math.isfinite(value)


def _whole(function: Callable[..., int]) -> Callable[..., int]:
    """The function of whole numbers only."""

    def of_whole_numbers(*values: Number) -> int:
        if not all(isinstance(value, int) for value in values):
            raise TypeError
        return function(*values)

    return of_whole_numbers


def _quotient(a: int, b: int) -> int:
    """a // b, towards zero."""
    return a // b if (a < 0) == (b < 0) else -(-a // b)


def _power(a: Number, b: Number) -> Any:
    if isinstance(a, int) and isinstance(b, int) and b > 0 and (a.bit_length() - 1) * b > BITS:
        raise OverflowError
    return a**b


def _whole_power(a: Number, b: Number) -> Any:
    """a ^ b, a whole number where both are."""
    if isinstance(a, int) and isinstance(b, int) and b < 0:
        if abs(a) != 1:
            raise ValueError
        return _power(a, -b)
    return _power(a, b)


def _shifted(a: int, by: int) -> int:
    if by > BITS:
        raise OverflowError
    return a << by if by >= 0 else a >> -by


def _rounded(x: Number) -> int:
    """The nearest whole number; of two the one farther from zero."""
    whole = math.trunc(x)
    return whole + (abs(x - whole) >= 0.5) * (1 if x > 0 else -1)


FUNCTIONS: dict[tuple[str, int], Callable[..., Any]] = _arithmetic_functions | {
    ("//", 2): _whole(_quotient),
    ("rem", 2): _whole(lambda a, b: a - b * _quotient(a, b)),
    ("mod", 2): _whole(lambda a, b: a % b),
    ("div", 2): _whole(lambda a, b: a // b),
    ("**", 2): _power,
    ("^", 2): _whole_power,
    ("<<", 2): _whole(_shifted),
    (">>", 2): _whole(lambda a, by: _shifted(a, -by)),
    ("round", 1): _rounded,
    ("sign", 1): lambda x: math.copysign(x != 0, x) if isinstance(x, float) else (x > 0) - (x < 0),
    ("float_integer_part", 1): lambda x: float(math.trunc(x)),
}
