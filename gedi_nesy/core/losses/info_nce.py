"""InfoNCE: an image's view should be told from all other images (van den Oord 2018; as in SimCLR, Chen et al. 2020)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def cosines(embeddings: Tensor, others: Tensor) -> Tensor:
    """The cosine of every embedding with every other one: [..., n, dim], [..., m, dim] -> [..., n, m]."""
    return functional.normalize(embeddings, dim=-1) @ functional.normalize(others, dim=-1).mT


def info_nce_loss(
    embeddings: Tensor,
    view_embeddings: Tensor,
    temperature: float = 0.5,
    similarity: Callable[[Tensor, Tensor], Tensor] = cosines,
) -> Tensor:
    """-log of the probability that softmax(similarity / temperature) gives to an image's other view.

    Each of the 2 * batch embeddings in turn has to find its partner among all the others (Chen et al. 2020, Eq. 1).
    In the paper's Lemma 1 that probability is p(anchor | x), and the other embeddings are the anchors.

    Args:
        embeddings: the projector's outputs for one view, shape [..., batch, dim].
        view_embeddings: for another view of the same images.
        temperature: divides the similarities.
        similarity: from [..., n, dim] and [..., m, dim] to [..., n, m].

    Returns:
        Shape [...], in nats; above 0, and with cosines never below ln(1 + (2 * batch - 2) exp(-2 / temperature)). A
        collapsed representation costs ln(2 * batch - 1). It is invariant under a rotation of all embeddings, a
        permutation of the batch and an exchange of the views; with cosines under the length of each embedding, too.
    """
    both = torch.cat([embeddings, view_embeddings], -2)  # [..., 2 * batch, dim]
    scores = similarity(both, both) / temperature
    images = torch.arange(both.shape[-2], device=both.device)
    log_probs = scores.masked_fill(images[:, None] == images, float("-inf")).log_softmax(-1)  # none finds itself
    return -log_probs[..., images, images.roll(embeddings.shape[-2])].mean(-1)
