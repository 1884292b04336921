"""Covariances over a batch."""

from torch import Tensor


def covariance(embeddings: Tensor, correction: int = 1) -> Tensor:
    """Covariance of the dimensions of embeddings [..., batch, dim], divided by batch - correction: [..., dim, dim]."""
    centred = embeddings - embeddings.mean(-2, keepdim=True)
    return centred.mT @ centred / (embeddings.shape[-2] - correction)
