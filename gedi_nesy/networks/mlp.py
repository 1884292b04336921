"""Multi-layer perceptrons."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn


def mlp(sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers from sizes[0] inputs to sizes[-1] outputs, with an activation between but not after them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])
