"""Networks as they are used, for a look at them while they train."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model is in eval mode inside, without dropout, and afterwards in the mode that it was in."""
    was = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was)
