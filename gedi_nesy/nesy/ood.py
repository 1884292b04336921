"""How well a run tells its own kind of images from foreign ones, so that a prediction can be refused."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from gedi_nesy.core.ood import auroc_table
from gedi_nesy.nesy.run import Run


def ood_auroc(
    run: Run, familiar: Tensor, outliers: Mapping[str, Tensor], network: str | None = None
) -> dict[str, dict[str, Any]]:
    """AUROC of four scores between familiar images and each kind of outliers, equally many of both.

    A score's AUROC is the probability that a familiar image has a higher score than an outlier: 0.5 is chance.

    Args:
        run: a finished run.
        familiar: its test images, uint8 [images, 1, 28, 28].
        outliers: foreign images by the name of their kind, in the same shape (`load_outliers` gives some).
        network: its name in the program; may be left out when there is only one.

    Returns:
        For each kind `images`, the number of outliers and of familiar images (drawn at random but always the same), and
        the AUROC of the `energy` (-E(x)), of the `gradient` (s(x) = -||d log p(x)/dx||_2; paper, Section N), of
        `max_softmax` (max_y p(y|x)) and of `views` (`Run.familiarity`).
    """
    return auroc_table(partial(ood_scores, run, network=network), familiar, outliers)


def ood_scores(run: Run, images: Tensor, network: str | None = None) -> dict[str, Tensor]:
    """The four scores, each high for familiar images: uint8 [images, 1, 28, 28] -> {name: [images]}."""
    return {
        "energy": -run.energy(images, network).cpu(),
        "gradient": run.ood_score(images, network).cpu(),
        "max_softmax": run.log_probs(images, network).amax(-1).cpu(),
        "views": run.familiarity(images, network).cpu(),
    }
