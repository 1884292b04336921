"""An L2 penalty on energies, which keeps an energy model from drifting away (Du & Mordatch 2019, Section 3.2)."""

import torch
from torch import Tensor

from gedi_nesy.core.energy import energy


def energy_l2_loss(*logits: Tensor) -> Tensor:
    """The mean squared energies of the data, of the samples, ..., added up; L_GEN fixes energies up to a constant only.

    Args:
        logits: f(x) of the data, [..., batch, classes], of the model's samples, [..., samples, classes], and of
            whatever else L_GEN is held against.

    Returns:
        Shape [...], in nats squared, never below 0.
    """
    return torch.stack([energy(values).square().mean(-1) for values in logits]).sum(0)
