"""ProbLog's text as terms, read as ISO Prolog reads it where ProbLog's own parser does not."""

import re
from typing import Any

from problog.errors import GroundingError
from problog.logic import Constant, Term, Var
from problog.program import DefaultPrologFactory, PrologString

from gedi_nesy.logic.timed_parser import SECONDS, TimedParser

DIGITS = 4300  # of the largest whole number: Python writes no longer one
BITS = 14_284  # it needs
NAME = re.compile(r"[a-z]\w*")  # an atom that needs no quotes
SPECIAL = ("[]", ".", ",", ";", ":-", "\\+", "!")  # ProbLog knows them without quotes only
LOCAL = ("findall/3", "all/3", "all_or_none/3")


class _Factory(DefaultPrologFactory):
    """Makes the terms."""

    def build_function(self, functor: str, arguments: Any, location: Any = None, **extra: Any) -> Term:
        """A compound term or an atom, its name spelled in one way."""
        functor = canonical_name(functor)
        if f"{functor}/{len(arguments)}" in LOCAL:
            arguments = [_named(argument) for argument in arguments]
        return super().build_function(functor, arguments, location=location, **extra)

    def build_unop(self, functor: str, operand: Any, location: Any = None, **extra: Any) -> Term:
        """A prefix operator; the minus of -2**2 is the number's."""
        base = operand.args[0] if functor == "-" and operand.functor == "'**'" else None
        if isinstance(base, Constant) and base.location == (self.loc_id, location + 1):
            return operand.with_args(Constant(-base.functor), operand.args[1])
        return super().build_unop(functor, operand, location=location, **extra)

    def build_constant(self, value: Any, location: Any = None) -> Constant:
        """A number or a string."""
        if value in (float("inf"), float("-inf")) or (isinstance(value, int) and value.bit_length() > BITS):
            raise GroundingError(f"a number is too large, the largest whole number has {DIGITS:,} digits")
        return super().build_constant(value, location=location)


def parse(text: str, name: str, seconds: float = SECONDS, number: int = 0, **source: Any) -> PrologString:
    """A program's statements.

    Args:
        text: of the program.
        name: what errors call it.
        seconds: the budget for parsing it.
        number: of its file, in the places of its terms.
        source: ProbLog's `source_root` and `source_files`.

    Raises:
        UserError: on the way, when the budget is spent.
    """
    parser = TimedParser(_Factory(identifier=number), name, seconds)
    return PrologString(text, parser, identifier=number, **source)


def canonical_name(functor: str) -> str:
    """A name as ProbLog compares it: 'a' is a, and + is '+', as its operators are."""
    quoted = len(functor) > 1 and functor[0] == functor[-1] == "'"
    name = functor[1:-1] if quoted else functor
    if name in SPECIAL or (name.startswith("_") and not quoted):
        return name
    return name if NAME.fullmatch(name) and name != "as" else f"'{name}'"  # 'as' has quotes in use_module


def _named(argument: Any) -> Any:
    """ProbLog fails on a variable without a name where it looks for local ones."""
    if isinstance(argument, Var) and argument.name == "_":
        return Var(f"_@{argument.location}", location=argument.location)
    return argument
