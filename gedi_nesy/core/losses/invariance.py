"""L_INV: an image and its augmentation should get the same, confident prediction (paper, Section 3, L_INV)."""

from torch import Tensor


def invariance_loss(view_log_probs: Tensor, log_probs: Tensor) -> Tensor:
    """Cross-entropy CE(p(.|x'), p(.|x)) with the gradient through both sides.

    Args:
        view_log_probs: log p(y|x') of the augmented images x' ~ T(x'|x), shape [..., batch, classes].
        log_probs: log p(y|x) of the images themselves, shape [..., batch, classes].

    Returns:
        Shape [...], in nats: the batch mean of H(p(.|x')) + KL(p(.|x') || p(.|x)); its optimum 0 needs predictions that
        are equal and certain, which a constant one-hot prediction reaches too (Theorem 1b).
    """
    return -(view_log_probs.exp() * log_probs).sum(-1).mean(-1)
