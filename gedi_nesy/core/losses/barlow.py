"""Barlow Twins: the embeddings of two views should agree, and their dimensions say different things (Zbontar 2021)."""

import torch
from torch import Tensor

_EPSILON = 1e-5  # batch normalisation's, as in the authors' code: a dimension that never varies correlates with nothing


def cross_correlation(embeddings: Tensor, view_embeddings: Tensor) -> Tensor:
    """Correlation over the batch of every dimension of one view with every dimension of the other.

    Args:
        embeddings: shape [..., batch, dim].
        view_embeddings: of another view of the same images, shape [..., batch, dim].

    Returns:
        Shape [..., dim, dim], in [-1, 1].
    """
    first, second = _normalise(embeddings), _normalise(view_embeddings)
    return first.mT @ second / first.shape[-2]


def barlow_loss(embeddings: Tensor, view_embeddings: Tensor, redundancy: float = 5e-3) -> Tensor:
    """sum_i (1 - C_ii)^2 + redundancy * sum_{i != j} C_ij^2 of the cross-correlation C (Zbontar et al. 2021, Eq. 1).

    Args:
        embeddings: the projector's outputs for one view, shape [..., batch, dim].
        view_embeddings: for another view of the same images.
        redundancy: the paper's lambda.

    Returns:
        Shape [...], a plain number, no nats; 0 where C is the identity. It is invariant under an affine map of each
        dimension that keeps its sign, and under a permutation of the dimensions.
    """
    correlation = cross_correlation(embeddings, view_embeddings)
    diagonal = correlation.diagonal(dim1=-2, dim2=-1)
    off_diagonal = correlation - torch.diag_embed(diagonal)
    return (1 - diagonal).square().sum(-1) + redundancy * off_diagonal.square().sum((-2, -1))


def _normalise(embeddings: Tensor) -> Tensor:
    """Mean 0 and deviation 1 in each dimension over the batch."""
    variance, mean = torch.var_mean(embeddings, -2, correction=0, keepdim=True)
    return (embeddings - mean) / (variance + _EPSILON).sqrt()
