"""ProbLog's parser with a budget of CPU time, which grows with the square of a statement's length."""

import time
from typing import Any

from problog.parser import DefaultPrologParser

from gedi_nesy.errors import UserError

SECONDS = 30.0


class TimedParser(DefaultPrologParser):
    """ProbLog's parser, with a budget.

    Args:
        factory: ProbLog's, makes the terms.
        name: what errors call the text.
        seconds: the budget for all that it parses.

    Raises:
        UserError: on the way, when the budget is spent.
    """

    def __init__(self, factory: Any, name: str, seconds: float) -> None:
        super().__init__(factory)
        self.name, self.seconds, self.end = name, seconds, time.thread_time() + seconds

    def next_token(self, *args: Any) -> Any:
        """The next token."""
        self._check_clock()
        return super().next_token(*args)

    def fold(self, *args: Any, **kwargs: Any) -> Any:
        """The term that some operators and their operands make."""
        self._check_clock()
        return super().fold(*args, **kwargs)

    def _check_clock(self) -> None:
        if time.thread_time() > self.end:
            raise UserError(
                f"{self.name} was not parsed within its budget of {self.seconds:g} s: split statements of thousands of "
                "literals, each into several predicates, or raise the budget"
            )
