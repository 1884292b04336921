"""A run's checkpoint: whether it fits the run, and each process's share of it."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core import processes
from gedi_nesy.core.fit import Training
from gedi_nesy.errors import UserError
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.runs.records import check_checkpoint

OWN = ("generator", "buffers")  # the parts of a training's state that differ between processes


def join_shares(state: dict[str, Any]) -> dict[str, Any] | None:
    """The state of the first process with the shares of all others; None in the others.

    Args:
        state: "training", a `Training.state_dict()`, and "rollback", whose "kept" are some more.
    """
    if processes.count() == 1:
        return state
    shares = processes.gather([{name: _on_cpu(training[name]) for name in OWN} for training in _trainings(state)])
    return state | {"shares": shares} if shares else None


def pick_share(state: dict[str, Any]) -> dict[str, Any]:
    """This process's state, from one that `join_shares` made.

    Raises:
        UserError: if it was made by another number of processes.
    """
    shares = state.pop("shares", [[]])
    if len(shares) != processes.count():
        raise UserError(
            f"The run was trained by {len(shares)} processes and can't go on with {processes.count()}; resume it with "
            f"torchrun --nproc-per-node {len(shares)}, or without torchrun if that is 1."
        )
    for training, own in zip(_trainings(state), shares[processes.rank()], strict=False):
        training.update(own)
    return state


def check_place(state: Mapping[str, Any] | None, phases: int, folder: RunFolder) -> None:
    """Whether a checkpoint, if there is one, was taken in a training of so many phases.

    Raises:
        UserError: if it was not.
    """
    with fitting(folder):
        if state is not None:
            check_checkpoint(state)
            if state["phase"] >= phases:
                raise ValueError(f"phase {state['phase']} of {phases}")


def restore(training: Training, state: Mapping[str, Any], folder: RunFolder) -> None:
    """Put a training back to where `state`, one of its checkpoints, was taken.

    Raises:
        UserError: if the checkpoint is of a training with other settings.
    """
    before = _constants(training.optimizer)
    with fitting(folder):
        training.load_state_dict(state)
        if _constants(training.optimizer) != before:
            raise ValueError("the optimiser has other settings")
        for parameter, moments in training.optimizer.state.items():
            if any(moment.dim() and moment.shape != parameter.shape for moment in moments.values()):
                raise ValueError("the optimiser is of another network")


@contextlib.contextmanager
def fitting(folder: RunFolder) -> Iterator[None]:
    """Report whatever fails inside the block, where a checkpoint is read, as a checkpoint that is not this run's.

    Raises:
        UserError: if it is not.
    """
    try:
        yield
    except UserError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{folder / 'checkpoint.pt'} does not fit {folder / 'config.toml'}, which must be as the run wrote it."
        ) from error


def _constants(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """The settings of an optimiser that a training never changes."""
    return [{k: v for k, v in group.items() if k not in ("params", "lr")} for group in optimizer.param_groups]


def _trainings(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [state["training"], *state["rollback"]["kept"]]


def _on_cpu(value: Any) -> Any:
    """Tensors, alone or in containers, on the CPU."""
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, tuple):
        return tuple(map(_on_cpu, value))
    return {name: _on_cpu(part) for name, part in value.items()} if isinstance(value, dict) else value
