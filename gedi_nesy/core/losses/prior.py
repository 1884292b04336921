"""L_PRIOR: the batch's average prediction should match a prior (paper, Section 3; Appendix O for the entropy)."""

import math

from torch import Tensor


def log_mean_prediction(log_probs: Tensor) -> Tensor:
    """Log of the batch mean of p(y|x): [..., batch, classes] -> [..., classes]."""
    return log_probs.logsumexp(-2) - math.log(log_probs.shape[-2])


def prior_loss(log_probs: Tensor, log_prior: Tensor) -> Tensor:
    """Cross-entropy CE(prior, batch mean of p(y|x)).

    Args:
        log_probs: log p(y|x), shape [..., batch, classes].
        log_prior: log of the target marginal, shape [..., classes]; finite.

    Returns:
        Shape [...], in nats; its minimum is the prior's entropy (ln c when uniform), reached by balanced clusters
        and, as Theorem 1c says, by a constant representation too.
    """
    return -(log_prior.exp() * log_mean_prediction(log_probs)).sum(-1)


def prior_divergence(log_probs: Tensor, log_prior: Tensor) -> Tensor:
    """KL(batch mean of p(y|x) || prior): the form for a prior that the rule itself gives to a variable.

    Args:
        log_probs: log p(y|x) of the images of one variable, shape [..., batch, classes].
        log_prior: log of that variable's marginal, shape [..., classes]; finite.

    Returns:
        Shape [...], in nats; its minimum is 0. Unlike the cross-entropy it stays bounded when a class is missing from a
        small batch.
    """
    log_mean = log_mean_prediction(log_probs)
    return (log_mean.exp() * (log_mean - log_prior)).sum(-1)


def negative_entropy_loss(log_probs: Tensor) -> Tensor:
    """Minus the entropy of the batch mean of p(y|x): the paper's L_PRIOR in the neuro-symbolic experiment (Appendix O).

    Args:
        log_probs: log p(y|x), shape [..., batch, classes].

    Returns:
        Shape [...], in nats; its minimum is -ln c.
    """
    log_mean = log_mean_prediction(log_probs)
    return (log_mean.exp() * log_mean).sum(-1)
