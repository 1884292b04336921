"""ProtoCPC: a view's prototypes, told by the other view and contrasted with the batch's (Lee 2022; paper, App. H)."""

import math

from torch import Tensor

from gedi_nesy.core.losses.prior import log_mean_prediction


def protocpc_loss(
    scores: Tensor, view_scores: Tensor, temperature: float = 0.1, teacher_temperature: float = 0.04
) -> Tensor:
    """-q.s + log sum_k m_k exp(s_k) + ln c: prototypical contrastive predictive coding, the mean of both directions.

    s are one view's scores / temperature, q = softmax(scores / teacher_temperature) the code of the other, m the
    batch's mean code, c the number of prototypes. No gradient flows into codes. By convexity it is, up to a constant,
    an upper bound of InfoNCE with critic q.s, and equal to it when codes are certain (Lee 2022). The authors take codes
    from a moving average of the network, and m from a moving average over batches; here both are of the moment.

    Args:
        scores: cosines of one view's normalised features and the prototypes, shape [..., batch, prototypes].
        view_scores: the same for another view of these images.
        temperature: of the predictions.
        teacher_temperature: of the codes, lower so that they are sharper.

    Returns:
        Shape [...], in nats, never below ln c - I(image; code) >= 0: 0 needs codes that are certain and balanced. A
        constant representation, certain or not, costs ln c or more. It is invariant under renaming the prototypes, a
        permutation of the batch and an exchange of the views.
    """
    first = _predict_codes(scores / temperature, view_scores / teacher_temperature)
    return (first + _predict_codes(view_scores / temperature, scores / teacher_temperature)) / 2


def _predict_codes(student: Tensor, teacher: Tensor) -> Tensor:
    """One direction, both [..., batch, prototypes] -> [...]."""
    log_codes = teacher.detach().log_softmax(-1)
    log_prior = log_mean_prediction(log_codes).unsqueeze(-2)  # [..., 1, prototypes]
    attraction = (log_codes.exp() * student).sum(-1)
    return ((student + log_prior).logsumexp(-1) - attraction).mean(-1) + math.log(student.shape[-1])
