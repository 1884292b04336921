"""EBCLR: InfoNCE whose similarities are an energy model's logits, too (Kim & Ye 2022; paper, Section 3)."""

from torch import Tensor

from gedi_nesy.core.losses.info_nce import info_nce_loss


def negative_squared_distances(embeddings: Tensor, others: Tensor) -> Tensor:
    """-|z - z'|^2 of every embedding and every other one: [..., n, dim], [..., m, dim] -> [..., n, m]."""
    lengths = embeddings.square().sum(-1, keepdim=True) + others.square().sum(-1).unsqueeze(-2)
    return 2 * embeddings @ others.mT - lengths


def anchor_logits(embeddings: Tensor, anchors: Tensor, temperature: float = 0.1) -> Tensor:
    """Logits over a memory of anchors, -|z - a|^2 / temperature.

    `energy` of these logits is the paper's Eq. 2, E(x) = -log sum_a exp(-|z(x) - a|^2 / temperature): x is likely where
    its embedding is near anchors. So SGLD and L_GEN take them in the place of a classifier's logits.

    Args:
        embeddings: of the inputs whose energy is wanted, shape [..., n, dim].
        anchors: embeddings of other images, constants of the energy, shape [..., anchors, dim].
        temperature: the loss's.

    Returns:
        Shape [..., n, anchors], in nats, never above 0.
    """
    return negative_squared_distances(embeddings, anchors) / temperature


def ebclr_loss(embeddings: Tensor, view_embeddings: Tensor, temperature: float = 0.1) -> Tensor:
    """InfoNCE with similarity -|z - z'|^2: L_DISC of the model whose energy `anchor_logits` gives.

    Args:
        embeddings: the projector's outputs for one view, shape [..., batch, dim]. The authors' have unit length, for
            which this is InfoNCE on cosines at half the temperature.
        view_embeddings: for another view of the same images.
        temperature: divides the squared distances.

    Returns:
        Shape [...], in nats; above 0, which it nears as equal views move away from the other images. A collapsed
        representation costs ln(2 * batch - 1). It is invariant under a rotation and a shift of all embeddings, a
        permutation of the batch and an exchange of the views.
    """
    return info_nce_loss(embeddings, view_embeddings, temperature, negative_squared_distances)
