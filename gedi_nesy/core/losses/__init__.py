"""The losses, one file each: functions of tensors [..., batch, classes] or [..., batch, dim] that reduce the batch."""

from gedi_nesy.core.losses.barlow import barlow_loss, cross_correlation
from gedi_nesy.core.losses.energy_l2 import energy_l2_loss
from gedi_nesy.core.losses.generative import generative_loss
from gedi_nesy.core.losses.invariance import invariance_loss
from gedi_nesy.core.losses.prior import negative_entropy_loss, prior_divergence, prior_loss
from gedi_nesy.core.losses.swav import sinkhorn, swav_loss

__all__ = [
    "barlow_loss",
    "cross_correlation",
    "energy_l2_loss",
    "generative_loss",
    "invariance_loss",
    "negative_entropy_loss",
    "prior_divergence",
    "prior_loss",
    "sinkhorn",
    "swav_loss",
]
