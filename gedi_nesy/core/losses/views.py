"""L_INV among several views of an image: each should get the prediction that all get on average."""

import math

from torch import Tensor

from gedi_nesy.core.losses.invariance import invariance_loss


def views_loss(log_probs: Tensor) -> Tensor:
    """The mean of CE(mean prediction of an image's views, prediction of a view), the gradient through both sides.

    Args:
        log_probs: log p(y|x_v) of the views of each image, shape [..., views, batch, classes].

    Returns:
        Shape [...], in nats; its optimum is 0, as L_INV's, where predictions are certain and the same for all views.
        With one view the loss is the mean entropy of a prediction.
    """
    mean = log_probs.logsumexp(-3, keepdim=True) - math.log(log_probs.shape[-3])
    return invariance_loss(mean.expand_as(log_probs), log_probs).mean(-1)
