"""Evidence that a call gives: goals whose truth is known of each example, read as further arguments of the rule."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.logic.arguments import Arguments
from gedi_nesy.logic.ground import Key, Value

Evidence = Mapping[str, bool | Sequence[bool]]  # for goals whether they are true, in all examples or in each


def with_evidence(
    arguments: Arguments | None, evidence: Evidence, inputs: Mapping[Key, Tensor]
) -> dict[str, Sequence[Value]]:
    """The arguments and the evidence, each with one value an example.

    Args:
        arguments: for each argument of the query its value in each example.
        evidence: for each goal whether it is true, in all examples or in each.
        inputs: for each variable's key its log-probabilities, [batch, values].

    Raises:
        UserError: the arguments are numbers, or the evidence is neither true nor false.
    """
    if isinstance(arguments, Tensor):
        raise UserError("with evidence the arguments are needed as values, not as numbers")
    joined = dict(arguments or {})
    batch: list[Any] = [values for values in (*joined.values(), *inputs.values()) if hasattr(values, "__len__")]
    examples = len(batch[0]) if batch else 1
    for goal, truth in evidence.items():
        values = [truth] * examples if isinstance(truth, bool) else truth
        listed = values.tolist() if isinstance(values, Tensor) else values
        if not isinstance(listed, list | tuple) or not all(isinstance(value, bool) for value in listed):
            raise UserError(f"evidence {goal} needs True or False, or a list of them, not {truth}")
        joined[goal] = listed
    return joined
