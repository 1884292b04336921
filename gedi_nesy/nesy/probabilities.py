"""The learnable probabilities of a program, `t(...)`, by their place in its text."""

from typing import Any

from problog.logic import AnnotatedDisjunction, Clause, Or, Term

from gedi_nesy.nesy.program import Source, is_compound


def learnable_heads(source: Source) -> list[str]:
    """What each `t(...)` stands before, with file, line and column, in the order of the text: "coin.pl:1:7 heads"."""
    heads = [head for statement in source.statements for head in _heads(statement)]
    return [f"{source.place(head)} {head.with_probability()}" for head in heads if is_compound(head.probability, "t")]


def _heads(statement: Any) -> list[Term]:
    if isinstance(statement, AnnotatedDisjunction):
        return list(statement.heads)
    if isinstance(statement, Clause):
        return [statement.head]
    if isinstance(statement, Or):
        return list(statement.to_list())
    return [statement] if type(statement) is Term else []
