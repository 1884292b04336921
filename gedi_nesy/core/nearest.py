"""The nearest examples of some data, by Euclidean distance."""

import torch
from torch import Tensor

CHUNK = 1000  # examples whose distances to all others are held at once


def nearest(x: Tensor, data: Tensor, itself: bool = False) -> tuple[Tensor, Tensor]:
    """The distance of each x to the nearest of the data, [n], and that one's row, int64 [n].

    Args:
        x: [n, ...].
        data: [m, ...].
        itself: x is the beginning of the data, and of each another one is asked for.
    """
    distances = torch.cdist(x.flatten(1), data.flatten(1))
    if itself:
        distances[torch.arange(len(x)), torch.arange(len(x))] = torch.inf
    found = distances.min(1)
    return found.values, found.indices


def nearest_rows(x: Tensor, count: int) -> Tensor:
    """The rows of the nearest examples to each, itself among them, int64 [n, count].

    Args:
        x: [n, d].
        count: of each.
    """
    x = x.double()  # so that rounding exchanges none
    return torch.cat([torch.cdist(part, x).topk(count, largest=False).indices for part in x.split(CHUNK)])
