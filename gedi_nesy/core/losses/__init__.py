"""The losses, one file each: functions of tensors [..., batch, classes] or [..., batch, dim] that reduce the batch."""

from gedi_nesy.core.losses.barlow import barlow_loss, cross_correlation
from gedi_nesy.core.losses.certain import certain_loss
from gedi_nesy.core.losses.corinfomax import corinfomax_loss
from gedi_nesy.core.losses.ebclr import anchor_logits, ebclr_loss
from gedi_nesy.core.losses.energy_l2 import energy_l2_loss
from gedi_nesy.core.losses.generative import generative_loss
from gedi_nesy.core.losses.info_nce import info_nce_loss
from gedi_nesy.core.losses.invariance import invariance_loss
from gedi_nesy.core.losses.mec import mec_loss
from gedi_nesy.core.losses.prior import negative_entropy_loss, prior_divergence, prior_loss
from gedi_nesy.core.losses.protocpc import protocpc_loss
from gedi_nesy.core.losses.swav import sinkhorn, swav_loss
from gedi_nesy.core.losses.vicreg import vicreg_loss
from gedi_nesy.core.losses.wmse import whiten, wmse_loss

__all__ = [
    "anchor_logits",
    "barlow_loss",
    "certain_loss",
    "corinfomax_loss",
    "cross_correlation",
    "ebclr_loss",
    "energy_l2_loss",
    "generative_loss",
    "info_nce_loss",
    "invariance_loss",
    "mec_loss",
    "negative_entropy_loss",
    "prior_divergence",
    "prior_loss",
    "protocpc_loss",
    "sinkhorn",
    "swav_loss",
    "vicreg_loss",
    "whiten",
    "wmse_loss",
]
