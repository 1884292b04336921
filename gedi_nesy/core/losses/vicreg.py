"""VICReg: equal embeddings of two views, whose dimensions vary and do not covary (Bardes, Ponce & LeCun 2022)."""

import torch
from torch import Tensor

from gedi_nesy.core.losses.covariance import covariance

_EPSILON = 1e-4  # the authors': the deviation has a gradient where the variance is 0


def vicreg_loss(
    embeddings: Tensor,
    view_embeddings: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    redundancy: float = 1.0,
) -> Tensor:
    """Weighted sum of the views' mean squared difference, of hinges on deviations and of squared covariances.

    Bardes et al. 2022, Eq. 6, with the hinges of the two views halved as in the authors' code.

    Args:
        embeddings: the projector's outputs for one view, shape [..., batch, dim].
        view_embeddings: for another view of the same images.
        invariance: weight of the mean squared difference; the authors' lambda.
        variance: weight of max(0, 1 - deviation), a mean over dimensions and views; their mu.
        redundancy: weight of the squared covariances of different dimensions, their sum / dim of each view; their nu.

    Returns:
        Shape [...], a plain number, no nats; 0 where the views are equal, and each dimension has a deviation of 1 or
        more and no covariance with another. It is invariant under a shift of all embeddings, a permutation or change
        of sign of dimensions, a permutation of the batch and an exchange of the views.
    """
    loss = invariance * (embeddings - view_embeddings).square().mean((-2, -1))
    for views in (embeddings, view_embeddings):
        matrix = covariance(views)
        variances = matrix.diagonal(dim1=-2, dim2=-1)
        off_diagonal = matrix - torch.diag_embed(variances)
        loss = loss + variance / 2 * (1 - (variances + _EPSILON).sqrt()).relu().mean(-1)
        loss = loss + redundancy * off_diagonal.square().sum((-2, -1)) / views.shape[-1]
    return loss
