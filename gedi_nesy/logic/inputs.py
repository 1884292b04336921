"""What a caller passes in for a rule's variables: log-probabilities, or symbols; checked, and brought into one form."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import accumulate, groupby
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.logic.arguments import shortened
from gedi_nesy.logic.ground import Key, Value, Variable
from gedi_nesy.logic.looks import Looks

NOT_NORMALISED = 0.05  # probabilities in half precision sum to 1 within this; the exponentials of logits do not


class Inputs:
    """Reads the log-probabilities of a rule's variables.

    Args:
        variables: the neural calls of the rule.
        looks: at whether values are log-probabilities.
    """

    def __init__(self, variables: Sequence[Variable], looks: Looks) -> None:
        self.variables, self.looks = variables, looks
        self.keys = [variable.key for variable in variables]
        self._runs = _runs_of_one_size([len(variable.domain) for variable in variables])

    def read(self, inputs: Mapping[Key, Tensor], examples: int | None) -> list[Tensor]:
        """The log-probabilities of each variable, [batch, values], of one dtype and on one device.

        Args:
            inputs: for each variable's key the log-probabilities of its domain, [batch, values].
            examples: how many the arguments have, where the query has some.

        Raises:
            UserError: a key, type, shape or device is wrong, or the values are no log-probabilities.
        """
        if inputs.keys() != set(self.keys):
            raise UserError(f"log-probabilities were given for {list(inputs)}, but the rule needs {self.keys}")
        columns = [_column(variable, inputs[variable.key]) for variable in self.variables]
        if len(devices := {column.device for column in columns}) > 1:
            raise UserError(f"the inputs lie on {' and '.join(sorted(map(str, devices)))}: move them to one device")
        batches = {len(column) for column in columns} | ({examples} if examples is not None else set())
        if len(batches) > 1:
            raise UserError(f"inputs and arguments differ in their number of examples: {sorted(batches)}")
        if len({column.dtype for column in columns}) > 1:
            dtype = reduce(torch.promote_types, (column.dtype for column in columns))
            columns = [column.to(dtype) for column in columns]
        if columns:
            self._check_normalised(columns)
        return columns

    def _check_normalised(self, columns: list[Tensor]) -> None:
        """One look at all variables; a second look only to say what is wrong."""
        columns = [column.detach() for column in columns]
        if len(columns[0]):
            self.looks.look(reduce(torch.maximum, self._distances(columns)), partial(self._judge, columns))

    def _distances(self, columns: list[Tensor]) -> Iterator[Tensor]:
        """The greatest distance of a sum of probabilities from 1, of each run of variables with domains of one size."""
        for first, last in self._runs:
            yield torch.stack(columns[first:last]).exp_().sum(2).sub_(1).abs_().max()

    def _judge(self, columns: list[Tensor], distance: float) -> None:
        if distance <= NOT_NORMALISED:  # nan is not
            return
        for variable, column in zip(self.variables, columns, strict=True):
            total = column.exp().sum(1)
            wrong = ~((total - 1).abs() <= NOT_NORMALISED)
            if wrong.any():
                example = int(wrong.nonzero()[0])
                raise UserError(
                    f"the values for {variable.key} are no log-probabilities: in example {example} the probabilities "
                    f"sum to {total[example]:.4g}; pass logits.log_softmax(-1)"
                )


def read_support(
    support: Mapping[str, Any], variables: Sequence[Variable], arguments: Sequence[str]
) -> tuple[dict[Key, Tensor], dict[str, Sequence[Value]]]:
    """Assignments in the form that `Constraint.sample` returns, checked.

    Returns:
        For each variable's key the indices into its domain, [n]; for each argument its n values.

    Raises:
        UserError: a variable or argument is missing, an index is none, or their numbers differ.
    """
    missing = [key for key in (*(v.key for v in variables), *arguments) if key not in support]
    if missing:
        raise UserError(f"the support has no {missing[0]}: it needs the form that sample() returns")
    labels = {v.key: _labels(v, torch.as_tensor(support[v.key])) for v in variables}
    values = {name: support[name] for name in arguments}
    lengths = {len(column) for column in (*labels.values(), *values.values())}
    if len(lengths) > 1:
        raise UserError(f"the variables of the support differ in their number of assignments: {sorted(lengths)}")
    return labels, values


def _labels(variable: Variable, labels: Tensor) -> Tensor:
    if labels.ndim != 1 or labels.is_floating_point():
        given = f"{list(labels.shape)} {labels.dtype}"
        raise UserError(f"the support needs a list of indices for {variable.key}, one an assignment, not {given}")
    wrong = [index for index in labels.tolist() if index not in range(len(variable.domain))]
    if wrong:
        raise UserError(
            f"the support has {wrong[0]} for {variable.key}, no index into its {len(variable.domain)} values"
        )
    return labels


def _column(variable: Variable, log_probs: Tensor) -> Tensor:
    """The input of one variable, in single precision at least."""
    if not isinstance(log_probs, Tensor):
        raise UserError(f"{variable.key} needs log-probabilities as a tensor, not as {type(log_probs).__name__}")
    if log_probs.is_meta or log_probs.layout != torch.strided or log_probs.is_nested:
        kind = "meta" if log_probs.is_meta else "nested" if log_probs.is_nested else "sparse"
        raise UserError(f"{variable.key} is a {kind} tensor: the rule needs a dense one that holds values")
    if _is_batched(log_probs):
        raise UserError(
            f"{variable.key} comes from vmap, and the rule takes its examples as a batch: pass them as "
            f"[batch, {len(variable.domain)}] and leave vmap out"
        )
    if log_probs.shape[1:] != (len(variable.domain),) or not log_probs.is_floating_point():
        raise UserError(
            f"{variable.key} needs log-probabilities of its {len(variable.domain)} values "
            f"{shortened(variable.domain)}, as [batch, {len(variable.domain)}], "
            f"not {list(log_probs.shape)} {log_probs.dtype}"
        )
    return log_probs if log_probs.dtype in (torch.float32, torch.float64) else log_probs.float()


def _is_batched(tensor: Tensor) -> bool:
    """Whether a tensor stands for one of vmap's slices, whatever transforms lie around it."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        if functorch.is_batchedtensor(tensor):
            return True
        tensor = functorch.get_unwrapped(tensor)
    return False


def _runs_of_one_size(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last + 1 of each run of equal sizes."""
    ends = list(accumulate(len(list(group)) for _, group in groupby(sizes)))
    return list(zip([0, *ends], ends, strict=False))
