"""CorInfoMax: equal embeddings of two views, spread over all dimensions (Ozsoy et al. 2022; paper, Lemma 2)."""

import torch
from torch import Tensor
from torch.nn import functional

from gedi_nesy.core.losses.covariance import covariance


def corinfomax_loss(
    embeddings: Tensor, view_embeddings: Tensor, attraction: float = 250.0, epsilon: float = 1e-8
) -> Tensor:
    """-(log det(R + epsilon I) + log det(R' + epsilon I)) / dim + attraction * mean squared difference.

    R and R' are the covariances over the batch of the two views' embeddings, scaled to unit length, as in the authors'
    code; theirs also keep a hundredth of the batches before.

    Args:
        embeddings: the projector's outputs for one view, shape [..., batch, dim].
        view_embeddings: for another view of the same images.
        attraction: the authors' sim_loss_weight, 250 on CIFAR-10 and 1000 on CIFAR-100.
        epsilon: keeps the determinants of a batch above 0 that is collapsed or has fewer images than dimensions.

    Returns:
        Shape [...], a plain number, no nats, never below -2 log(1 / dim + epsilon): embeddings that are equal in both
        views, of mean 0 and R = I / dim. It is invariant under a rotation of all embeddings, the length of each, a
        permutation of the batch and an exchange of the views.
    """
    # in double precision: the least eigenvalues of R are far below those that single precision keeps
    first, second = (functional.normalize(views.double(), dim=-1) for views in (embeddings, view_embeddings))
    identity = epsilon * torch.eye(first.shape[-1], dtype=first.dtype, device=first.device)
    spreads = [torch.logdet(covariance(views, correction=0) + identity) for views in (first, second)]
    difference = (first - second).square().mean((-2, -1))
    return (attraction * difference - (spreads[0] + spreads[1]) / first.shape[-1]).to(embeddings.dtype)
