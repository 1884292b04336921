"""Self-labelling: a view of an image should get the label that the image itself gets with certainty."""

import math

import torch
from torch import Tensor

CERTAIN = 0.99  # the probability from which a prediction is a label


def certain_loss(log_probs: Tensor, view_log_probs: Tensor) -> Tensor:
    """CE(label of x, p(.|x')) where p(label|x) is near 1, the mean over labels, so that all count alike.

    This is the last step of SCAN (Van Gansbeke et al. 2020); no gradient flows into the labels.

    Args:
        log_probs: log p(y|x), [..., batch, classes].
        view_log_probs: log p(y|x') of the same images augmented, [..., batch, classes].

    Returns:
        [...], in nats; its optimum is 0, which it also is where no prediction is certain.
    """
    greatest, labels = log_probs.detach().max(-1, keepdim=True)
    certain = (greatest > math.log(CERTAIN)).to(log_probs.dtype)
    labelled = torch.zeros_like(log_probs).scatter(-1, labels, certain)  # [..., batch, classes]
    count = labelled.sum(-2, keepdim=True)
    each = (labelled * view_log_probs).sum(-2) / count.squeeze(-2).clamp_min(1)  # [..., classes]
    return -each.sum(-1) / (count.squeeze(-2) > 0).sum(-1).clamp_min(1)
