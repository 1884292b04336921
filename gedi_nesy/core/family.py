"""Section 2's family of objectives: what each member's L_DISC is, what it needs, and how its clusters are read."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from gedi_nesy.core.losses import (
    barlow_loss,
    corinfomax_loss,
    ebclr_loss,
    info_nce_loss,
    mec_loss,
    protocpc_loss,
    swav_loss,
    vicreg_loss,
    wmse_loss,
)

Need = Literal["projector", "batch norm", "whitening", "prototypes", "memory"]


@dataclass(frozen=True)
class Member:
    """An objective of the family, whose bound is -log p(x) <= L_GEN + L_DISC.

    Attributes:
        title: the name that publications use.
        loss: L_DISC of two views: their embeddings [..., batch, dim], or with prototypes their scores, the cosines
            [..., batch, prototypes]; returns [...].
        needs: what the network or the batch must have. "batch norm" is in the projector. "whitening" needs a batch of
            more images than dimensions. "memory" keeps embeddings of other images, the anchors of L_GEN's energy.
        clusters: whether an image's cluster is its most probable prototype, or comes from k-means on the features.
        optimum: of the embeddings' dimensions, or of the number of prototypes, to the least value of the loss; None
            where that depends on the batch.
    """

    title: str
    loss: Callable[[Tensor, Tensor], Tensor]
    needs: frozenset[Need]
    clusters: Literal["prototypes", "k-means"]
    optimum: Callable[[int], float] | None


def _zero(width: int) -> float:
    return 0.0


def _even_spread(width: int) -> float:
    """CorInfoMax's, where the covariance of both views' embeddings is I / dim."""
    return 2 * math.log(width)


def _even_code(width: int) -> float:
    """MEC's at distortion 1, where equal views fill all dimensions alike."""
    return -width * sum((-1) ** (k + 1) / (k * width**k) for k in range(1, 5))


FAMILY = {
    "infonce": Member("InfoNCE", info_nce_loss, frozenset({"projector"}), "k-means", None),
    "ebclr": Member("EBCLR", ebclr_loss, frozenset({"projector", "memory"}), "k-means", None),
    "protocpc": Member("ProtoCPC", protocpc_loss, frozenset({"projector", "prototypes"}), "prototypes", _zero),
    "corinfomax": Member(
        "CorInfoMax", corinfomax_loss, frozenset({"projector", "batch norm"}), "k-means", _even_spread
    ),
    "vicreg": Member("VICReg", vicreg_loss, frozenset({"projector", "batch norm"}), "k-means", _zero),
    "wmse": Member("W-MSE", wmse_loss, frozenset({"projector", "batch norm", "whitening"}), "k-means", _zero),
    "barlow": Member("Barlow Twins", barlow_loss, frozenset({"projector", "batch norm"}), "k-means", _zero),
    "mec": Member("MEC", mec_loss, frozenset({"projector", "batch norm"}), "k-means", _even_code),
    "swav": Member("SwAV", swav_loss, frozenset({"projector", "batch norm", "prototypes"}), "prototypes", None),
}
