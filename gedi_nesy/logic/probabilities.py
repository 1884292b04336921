"""The learnable probabilities of a program, `t(...)`, by name."""

from collections import Counter
from typing import Any

from problog.logic import AnnotatedDisjunction, Clause, Or, Term

from gedi_nesy.logic.program import Source, is_compound


def learnable_heads(source: Source) -> list[str]:
    """What each `t(...)` stands before, in the order of the text: "heads"; of equals also where: "heads, a.pl:1:7"."""
    heads = [head for statement in source.statements for head in _heads(statement)]
    learnable = [head for head in heads if is_compound(head.probability, "t")]
    names = [str(head.with_probability()) for head in learnable]
    times = Counter(names)
    return [
        name if times[name] == 1 else f"{name}, {source.place(head)}"
        for name, head in zip(names, learnable, strict=True)
    ]


def _heads(statement: Any) -> list[Term]:
    if isinstance(statement, AnnotatedDisjunction):
        return list(statement.heads)
    if isinstance(statement, Clause):
        return [statement.head]
    if isinstance(statement, Or):
        return list(statement.to_list())
    return [statement] if type(statement) is Term else []
