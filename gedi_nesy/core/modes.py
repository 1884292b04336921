"""Networks in eval mode, to look at them while they train."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode, without dropout, inside the block, and restore its mode on exit."""
    was = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was)
