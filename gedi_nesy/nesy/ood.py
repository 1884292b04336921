"""How well a run tells its own kind of images from foreign ones, so that a prediction can be refused."""

from collections.abc import Mapping
from typing import Any

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from gedi_nesy.nesy.run import Run

LARGEST = 10_000  # images of each kind


def ood_auroc(
    run: Run, familiar: Tensor, outliers: Mapping[str, Tensor], network: str | None = None
) -> dict[str, dict[str, Any]]:
    """AUROC of four scores between familiar images and each kind of outliers, as many of the one as of the other.

    A score's AUROC is the probability that a familiar image has a higher one than an outlier: .5 is chance.

    Args:
        run: a finished run.
        familiar: its test images, uint8 [images, 1, 28, 28].
        outliers: foreign images by the name of their kind, in the same shape (`load_outliers` gives some).
        network: its name in the program; may be left out when there is only one.

    Returns:
        For each kind `images` (so many of it and of the familiar ones, drawn at random but always the same) and the
        AUROC of the `energy` (-E(x)), of the `gradient` (s(x) = -||d log p(x)/dx||_2; paper, Section N), of
        `max_softmax` (max_y p(y|x)) and of `views` (`Run.familiarity`).
    """
    own = ood_scores(run, _draw(familiar, LARGEST), network)
    table = {}
    for kind, images in outliers.items():
        n = min(len(familiar), len(images), LARGEST)
        foreign = ood_scores(run, _draw(images, n), network)
        table[kind] = {"images": n} | {score: auroc(own[score][:n], foreign[score]) for score in own}
    return table


def ood_scores(run: Run, images: Tensor, network: str | None = None) -> dict[str, Tensor]:
    """The four scores, each high for familiar images: uint8 [images, 1, 28, 28] -> {name: [images]}."""
    return {
        "energy": -run.energy(images, network).cpu(),
        "gradient": run.ood_score(images, network).cpu(),
        "max_softmax": run.log_probs(images, network).amax(-1).cpu(),
        "views": run.familiarity(images, network).cpu(),
    }


def auroc(familiar: Tensor, foreign: Tensor) -> float:
    """The probability that a familiar image has a higher score than a foreign one; ties count half."""
    is_familiar = [True] * len(familiar) + [False] * len(foreign)
    return float(roc_auc_score(is_familiar, torch.cat([familiar, foreign]).numpy()))


def _draw(images: Tensor, n: int) -> Tensor:
    """n of the images at random, or all in a random order where there are fewer; always the same ones."""
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:n]]
