"""Scores of a clustering or a classification against labels, on a whole data set."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_mutual_info_score, confusion_matrix, normalized_mutual_info_score
from torch import Tensor
from torch.nn import functional as F

from gedi_nesy.errors import UserError

BINS = 15  # of confidence, as Guo et al. have them


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


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far the probabilities of the predictions are right, in BINS bins of equal width (Guo et al. 2017).

    Attributes:
        confidence: mean probability of the predicted class in each bin, [BINS]; 0 where it is empty.
        accuracy: share of the predictions that are right in each bin, [BINS]; 0 where it is empty.
        counts: how many predictions are in each bin, int [BINS].
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean of |confidence - accuracy| over all predictions, in [0, 1]."""
        return float(np.abs(self.confidence - self.accuracy) @ self.counts / self.counts.sum())


def calibrate(log_probs: Tensor, labels: Tensor) -> Calibration:
    """Hold the probabilities of predictions against labels.

    Args:
        log_probs: log p(y|x), [n, classes], n at least 1.
        labels: int64 [n]; one that is no class makes its prediction wrong.
    """
    highest, predictions = log_probs.cpu().double().max(-1)
    confidence, right = highest.exp().numpy(), (predictions == labels.cpu()).double().numpy()
    bins = np.ceil(confidence * BINS).astype(int).clip(1, BINS) - 1  # (0, 1/BINS], (1/BINS, 2/BINS], ...
    counts = np.bincount(bins, minlength=BINS)
    means = [np.bincount(bins, values, BINS) / np.maximum(counts, 1) for values in (confidence, right)]
    return Calibration(means[0], means[1], counts)


def batch_nmi(predictions: Tensor, labels: Tensor, batch: int) -> float:
    """Mean NMI of consecutive batches, as the paper's tables on images seem to have it; the rest of a batch is dropped.

    It is no score of the data set: predictions that know nothing of the labels get far more than 0
    (`chance_batch_nmi`).

    Args:
        predictions: int64 [images].
        labels: int64 [images].
        batch: images in a batch.

    Raises:
        UserError: there are fewer images than that.
    """
    batches = len(labels) // batch
    if not batches:
        raise UserError(f"An NMI of batches of {batch} needs as many test images, not {len(labels)}.")
    true, predicted = (
        F.one_hot(y[: batches * batch]).double().unflatten(0, (batches, batch)) for y in (labels, predictions)
    )
    joint = true.mT @ predicted / batch  # [batches, labels, predictions]
    of_labels, of_predictions = (torch.special.entr(joint.sum(axis)).sum(-1) for axis in (2, 1))
    information = of_labels + of_predictions - torch.special.entr(joint).sum((1, 2))
    nmi = 2 * information / (of_labels + of_predictions)  # 0 / 0 where both are constant, which is agreement
    return float(nmi.nan_to_num(1.0).mean())


def chance_batch_nmi(predictions: Tensor, labels: Tensor, batch: int, draws: int = 20) -> float:
    """The `batch_nmi` of the same predictions when they are dealt out to the images at random.

    It is the mean over some shuffles, always the same ones. The clusters keep their sizes.
    """
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(labels), generator=generator).to(labels.device) for _ in range(draws)]
    return sum(batch_nmi(predictions[order], labels, batch) for order in orders) / draws
