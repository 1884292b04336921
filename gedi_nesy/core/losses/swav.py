"""SwAV: each view of an image should predict the cluster that balanced clustering gives to the other (Caron 2020)."""

import torch
from torch import Tensor


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Codes: soft assignments of a batch to prototypes, each prototype with the same share of the batch.

    Sinkhorn-Knopp on exp(scores / epsilon) (Caron et al. 2020, Section 3.1), in log space, so that nothing overflows.

    Args:
        scores: cosines of normalised features and prototypes, shape [..., batch, prototypes].
        epsilon: weight of the codes' entropy; the smaller, the more certain they are.
        iterations: how often first the prototypes' shares and then the images' are made equal.

    Returns:
        Shape [..., batch, prototypes]; each image's code sums to 1. No gradient flows into it.
    """
    log_codes = scores / epsilon
    for _ in range(iterations):
        log_codes = log_codes.log_softmax(-2)  # each prototype shares out the same mass over the batch
        log_codes = log_codes.log_softmax(-1)  # each image one
    return log_codes.exp()


def swav_loss(
    scores: Tensor, view_scores: Tensor, temperature: float = 0.1, epsilon: float = 0.05, iterations: int = 3
) -> Tensor:
    """The swapped prediction problem: CE(code of one view, p(y | other view)), the mean of both directions.

    Caron et al. 2020, Equations 1 and 2, halved as in the authors' code; two views, no smaller crops and no queue.

    Args:
        scores: cosines of one view's normalised features and the prototypes, shape [..., batch, prototypes].
        view_scores: the same for another view of these images.
        temperature: p(y|x) = softmax(scores / temperature).
        epsilon: as for `sinkhorn`.
        iterations: as for `sinkhorn`.

    Returns:
        Shape [...], in nats. It is never below the codes' entropy, and invariant under renaming the prototypes.
    """
    predictions = [(values / temperature).log_softmax(-1) for values in (scores, view_scores)]
    codes = [sinkhorn(values, epsilon, iterations) for values in (view_scores, scores)]  # swapped
    losses = [-(code * prediction).sum(-1).mean(-1) for code, prediction in zip(codes, predictions, strict=True)]
    return (losses[0] + losses[1]) / 2
