"""Scores of a clustering or a classification against labels, on a whole data set."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_mutual_info_score, confusion_matrix, normalized_mutual_info_score
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """How predictions and labels agree.

    Attributes:
        accuracy: share of images whose predicted symbol is the label.
        nmi: normalised mutual information (arithmetic mean), in [0, 1].
        ami: the same, adjusted for chance.
        cluster_accuracy: accuracy under the best one-to-one renaming of the predictions (Hungarian).
        confusion: counts, [labels, predictions].
    """

    accuracy: float
    nmi: float
    ami: float
    cluster_accuracy: float
    confusion: np.ndarray


def score(predictions: Tensor, labels: Tensor, classes: int) -> Scores:
    """Score predicted classes, int64 [images], against labels, int64 [images]."""
    predicted, true = predictions.cpu().numpy(), labels.cpu().numpy()
    confusion = confusion_matrix(true, predicted, labels=range(classes))
    matched = confusion[linear_sum_assignment(confusion, maximize=True)].sum()
    return Scores(
        accuracy=float((predicted == true).mean()),
        nmi=float(normalized_mutual_info_score(true, predicted)),
        ami=float(adjusted_mutual_info_score(true, predicted)),
        cluster_accuracy=float(matched / len(true)),
        confusion=confusion,
    )
