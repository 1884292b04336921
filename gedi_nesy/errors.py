"""Errors that a user can cause and mend: the command line prints the sentence and exits with 1."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """One sentence that says what is wrong, where, and how to mend it."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A hint at the name that a user meant, to follow the given name; empty where no name is alike."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
