"""The checkpoint of several processes: what they have in common once, and the share of each."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gedi_nesy.core import processes
from gedi_nesy.errors import UserError

OWN = ("generator", "buffers")  # of a training's state: what is another in each process


def join_shares(state: dict[str, Any]) -> dict[str, Any] | None:
    """The state of the first process with the shares of all others; None in the others.

    Args:
        state: "training", a `Training.state_dict()`, and "rollback", whose "kept" are some more.
    """
    if processes.count() == 1:
        return state
    shares = processes.gather([{name: _on_cpu(training[name]) for name in OWN} for training in _trainings(state)])
    return state | {"shares": shares} if shares else None


def pick_share(state: dict[str, Any] | None) -> dict[str, Any] | None:
    """This process's state, from one that `join_shares` made.

    Raises:
        UserError: if it was made by another number of processes.
    """
    if state is None:
        return None
    shares = state.pop("shares", [[]])
    if len(shares) != processes.count():
        raise UserError(
            f"The run was trained by {len(shares)} processes and can't go on with {processes.count()}; resume it with "
            f"torchrun --nproc-per-node {len(shares)}, or without torchrun if that is 1."
        )
    for training, own in zip(_trainings(state), shares[processes.rank()], strict=False):
        training.update(own)
    return state


def _trainings(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [state["training"], *state["rollback"]["kept"]]


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.cpu()
    return {name: _on_cpu(part) for name, part in value.items()}
