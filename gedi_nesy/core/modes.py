"""Networks in eval mode, to look at them while they train."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from gedi_nesy.core.precision import tf32


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode, without dropout or TF32, inside the block, and restore its mode on exit."""
    was = model.training
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    model.eval()
    try:
        with tf32(False, device):
            yield
    finally:
        model.train(was)
