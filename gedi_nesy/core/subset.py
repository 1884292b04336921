"""A random subset of examples, where all would take too long."""

import torch
from torch import Tensor


def random_subset(examples: Tensor, n: int) -> Tensor:
    """n random examples, or all in a random order where there are fewer; always the same ones."""
    return examples[torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))[:n]]
