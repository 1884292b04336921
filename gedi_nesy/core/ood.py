"""AUROC: how well scores of examples tell familiar ones from foreign ones."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from gedi_nesy.core.subset import random_subset

LARGEST = 10_000  # examples of each kind


def auroc(familiar: Tensor, foreign: Tensor) -> float:
    """The probability that a familiar example has a higher score than a foreign one; ties count half."""
    is_familiar = [True] * len(familiar) + [False] * len(foreign)
    return float(roc_auc_score(is_familiar, torch.cat([familiar, foreign]).cpu().numpy()))


def auroc_table(
    scores: Callable[[Tensor], Mapping[str, Tensor]], familiar: Tensor, outliers: Mapping[str, Tensor]
) -> dict[str, dict[str, Any]]:
    """AUROC of some scores between familiar examples and each kind of outliers, equally many of both.

    Args:
        scores: from examples, [n, ...], to named scores, [n], each high for familiar ones.
        familiar: examples of the kind that a model was trained on, [n, ...].
        outliers: foreign examples by the name of their kind.

    Returns:
        For each kind `images`, the number of its examples and of the familiar ones (drawn at random but always the
        same), and the AUROC of each score: 0.5 is chance.
    """
    own = scores(random_subset(familiar, LARGEST))
    table = {}
    for kind, examples in outliers.items():
        n = min(len(familiar), len(examples), LARGEST)
        foreign = scores(random_subset(examples, n))
        table[kind] = {"images": n} | {name: auroc(own[name][:n], foreign[name]) for name in own}
    return table
