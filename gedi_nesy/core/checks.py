"""Numbers of a training step that must stay within limits, read without making a GPU wait."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Judge = Callable[[list[float]], None]


class _Awaited(NamedTuple):
    """Numbers on their way from the device; without an event they have arrived."""

    numbers: Tensor
    event: torch.cuda.Event | None
    judge: Judge


class Checks:
    """Pass the numbers of a step to its judges: on the CPU at once, on a GPU when the next step is launched.

    To read a number, Python waits until the GPU has computed it, and then the GPU waits for Python. So the numbers are
    copied beside the work, and a step that has diverged is noticed one step late. No such step is saved or gone back
    to: `Training.state_dict` judges all numbers first.

    Args:
        late: whether numbers are judged a step late; by default those on a GPU are.
    """

    def __init__(self, late: bool | None = None) -> None:
        self.late = late
        self._earlier: list[_Awaited] = []
        self._present: list[_Awaited] = []

    def expect(self, numbers: Tensor, judge: Judge) -> None:
        """Let these numbers, [n], be judged; `judge` raises DivergedError where they make no sense."""
        on_gpu = numbers.device.type == "cuda"
        if not (on_gpu if self.late is None else self.late):
            judge(numbers.tolist())
            return
        here = torch.empty_like(numbers, device="cpu", pin_memory=on_gpu)
        here.copy_(numbers.detach(), non_blocking=True)
        event = torch.cuda.Event() if on_gpu else None
        if event is not None:
            event.record(torch.cuda.current_stream(numbers.device))
        self._present.append(_Awaited(here, event, judge))

    def turn(self) -> None:
        """Judge the numbers of the step before the one that has been launched."""
        earlier, self._earlier, self._present = self._earlier, self._present, []
        _judge(earlier)

    def settle(self) -> None:
        """Wait for all numbers, and judge them."""
        waiting = [*self._earlier, *self._present]
        self.clear()
        _judge(waiting)

    def clear(self) -> None:
        """Forget the numbers that are awaited, because training goes on from another state."""
        self._earlier, self._present = [], []


def _judge(waiting: list[_Awaited]) -> None:
    for numbers, event, judge in waiting:
        if event is not None:
            event.synchronize()
        judge(numbers.tolist())
