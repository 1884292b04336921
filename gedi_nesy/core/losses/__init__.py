"""The losses, one file each; each a function of tensors [..., batch, classes] that averages over the batch, in nats."""

from gedi_nesy.core.losses.energy_l2 import energy_l2_loss
from gedi_nesy.core.losses.generative import generative_loss
from gedi_nesy.core.losses.invariance import invariance_loss
from gedi_nesy.core.losses.prior import negative_entropy_loss, prior_divergence, prior_loss

__all__ = [
    "energy_l2_loss",
    "generative_loss",
    "invariance_loss",
    "negative_entropy_loss",
    "prior_divergence",
    "prior_loss",
]
