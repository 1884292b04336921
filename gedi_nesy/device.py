"""Where a run computes: its device and the CPU threads it uses."""

import contextlib
from collections.abc import Iterator

import torch

from gedi_nesy.errors import UserError


def find_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        UserError: if it can't be used here.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"The device {name!r} can't be used here; try --device cpu.") from error
    return device


@contextlib.contextmanager
def cpu_threads(n: int) -> Iterator[None]:
    """Use n CPU threads inside tensor operations, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
