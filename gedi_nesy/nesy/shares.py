"""A batch of a rule's examples in several processes: each reads the images of its share, all see every prediction.

A process fills its share up with examples of the batch's beginning where the batch doesn't divide; what it predicts for
these is dropped when the shares are joined. In a single process nothing here does anything.
"""

import torch
from torch import Tensor

from gedi_nesy.core import processes


def own_rows(rows: Tensor) -> Tensor:
    """This process's share of a batch's examples, int64 [B] -> [b], of as many in each process."""
    size = -(-len(rows) // processes.count())
    places = torch.arange(processes.rank() * size, (processes.rank() + 1) * size)
    return rows[places % len(rows)]


def join_outputs(outputs: Tensor, variables: int, examples: int) -> Tensor:
    """The outputs for all examples of a batch, from the outputs for this process's share.

    Args:
        outputs: of one network, one variable after the other: [K, variables * b, ...].
        variables: how many the network reads.
        examples: B, the examples of the whole batch.

    Returns:
        [K, variables * B, ...]; gradients flow into this process's share.
    """
    if processes.count() == 1:
        return outputs
    joined = processes.join(outputs.unflatten(1, (variables, -1)), 2)
    return joined[:, :, :examples].flatten(1, 2)
