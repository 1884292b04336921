"""W-MSE: whitened embeddings of two views should point the same way (Ermolov et al. 2021)."""

import torch
from torch import Tensor
from torch.nn import functional

from gedi_nesy.core.losses.covariance import covariance
from gedi_nesy.errors import UserError

_EPSILON = 1e-8  # a share of the identity in the covariance, so that a collapsed batch can be whitened


def whiten(embeddings: Tensor) -> Tensor:
    """Embeddings of mean 0 and covariance I over the batch, by the inverse of the covariance's Cholesky factor.

    Args:
        embeddings: shape [..., batch, dim].

    Returns:
        Shape [..., batch, dim], in double precision.

    Raises:
        UserError: there are not more embeddings than dimensions; they would get the same shape whatever they were.
    """
    batch, dim = embeddings.shape[-2:]
    if batch <= dim:
        raise UserError(
            f"W-MSE whitens {dim} dimensions, which needs a batch of more images than {batch}; take a larger batch or "
            f"a projector with fewer outputs."
        )
    embeddings = embeddings.double()  # a collapsed batch is constant up to far less than epsilon then
    centred = embeddings - embeddings.mean(-2, keepdim=True)
    identity = torch.eye(dim, dtype=centred.dtype, device=centred.device)
    # positive definite, so nobody looks whether a factor was found, which would make a GPU wait
    factor, _ = torch.linalg.cholesky_ex((1 - _EPSILON) * covariance(centred) + _EPSILON * identity)
    return torch.linalg.solve_triangular(factor, centred.mT, upper=False).mT


def wmse_loss(embeddings: Tensor, view_embeddings: Tensor) -> Tensor:
    """2 - 2 cos of the two views' embeddings, each view whitened over the batch, mean over the batch.

    Ermolov et al. 2021, Eq. 5, with one sub-batch.

    Args:
        embeddings: the projector's outputs for one view, shape [..., batch, dim], with batch > dim.
        view_embeddings: for another view of the same images.

    Returns:
        Shape [...], a plain number in [0, 4], no nats; 0 where the views are equal, whatever their scale and
        correlations, and 2 for a collapsed representation. It is invariant under an affine map of either view by a
        lower triangular matrix with a positive diagonal, a permutation of the batch and an exchange of the views.

    Raises:
        UserError: there are not more images than dimensions.
    """
    first, second = (functional.normalize(whiten(views), dim=-1) for views in (embeddings, view_embeddings))
    return (2 - 2 * (first * second).sum(-1).mean(-1)).to(embeddings.dtype)
