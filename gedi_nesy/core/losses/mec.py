"""MEC: equal embeddings of two views that take the most bits to code (maximum entropy coding, Liu et al. 2022)."""

import torch
from torch import Tensor
from torch.nn import functional

_ORDER = 4  # of the series of log(1 + x), the authors'


def mec_loss(embeddings: Tensor, view_embeddings: Tensor, distortion: float = 1.0) -> Tensor:
    """-distortion * log det(I + Z^T Z' / (batch * distortion)), by four terms of its series (Liu et al. 2022, Eq. 5).

    Z and Z' are the embeddings of the two views, scaled to unit length. The first term is minus their mean cosine, the
    next ones keep the dimensions from saying the same.

    Args:
        embeddings: the projector's outputs for one view, shape [..., batch, dim].
        view_embeddings: for another view of the same images.
        distortion: the squared error of the code for each dimension. From 1 on the series holds for every batch; the
            authors' is 1/32, reached by a warm-up from 1/4, and needs one that fills several dimensions.

    Returns:
        Shape [...], a plain number, no nats. Equal views reach their minimum where they fill all dimensions alike:
        -dim * distortion * sum_k (-1)^(k+1) / (k (dim * distortion)^k), a little above -1; gradient descent on views
        that may differ ends there, too. At distortion 1 a collapsed representation has -7/12. It is invariant under a
        rotation of all embeddings, the length of each, a permutation of the batch and an exchange of the views.
    """
    first, second = (functional.normalize(views, dim=-1) for views in (embeddings, view_embeddings))
    matrix = first.mT @ second / (embeddings.shape[-2] * distortion)  # [..., dim, dim]
    power, total = matrix, torch.zeros_like(matrix)
    for k in range(1, _ORDER + 1):
        total = total - (-1) ** k / k * power
        power = power @ matrix
    return -distortion * total.diagonal(dim1=-2, dim2=-1).sum(-1)
