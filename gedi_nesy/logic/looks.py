"""Numbers that tell whether a call made sense, read without making a GPU wait where a gradient is asked for."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Judge = Callable[[float], None]


class _Awaited(NamedTuple):
    """A number on its way from a GPU; without an event it has arrived."""

    number: Tensor
    event: torch.cuda.Event | None
    judge: Judge

    @property
    def has_arrived(self) -> bool:
        return self.event is None or self.event.query()


class Looks:
    """Passes numbers to their judges: at once, but on a GPU, where gradients are on, not before a later call.

    To read a number, Python waits until the GPU has computed it, and then the GPU waits for Python. So in training the
    numbers are copied beside the work, and the first call that finds them here judges them.

    Args:
        late: whether numbers wait for a later call; by default those on a GPU do, where gradients are on.
    """

    def __init__(self, late: bool | None = None) -> None:
        self.late = late
        self._awaited: list[_Awaited] = []

    def __deepcopy__(self, memo: object) -> "Looks":
        return Looks(self.late)

    def look(self, number: Tensor, judge: Judge) -> None:
        """Let a number, of shape [], be judged."""
        on_gpu = number.device.type == "cuda"
        if not (on_gpu and torch.is_grad_enabled() if self.late is None else self.late):
            judge(number.item())
            return
        here = torch.empty_like(number, device="cpu", pin_memory=on_gpu)
        here.copy_(number.detach(), non_blocking=True)
        event = torch.cuda.Event() if on_gpu else None
        if event is not None:
            event.record(torch.cuda.current_stream(number.device))
        self._awaited.append(_Awaited(here, event, judge))

    def turn(self) -> None:
        """A call begins: judge those numbers of earlier ones that have arrived."""
        while self._awaited and self._awaited[0].has_arrived:
            awaited = self._awaited.pop(0)
            awaited.judge(awaited.number.item())

    def settle(self) -> None:
        """Wait for all numbers, and judge them."""
        for awaited in self._awaited:
            if awaited.event is not None:
                awaited.event.synchronize()
        self.turn()
