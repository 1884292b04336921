"""How well a run's scores tell its own kind of points or images from foreign ones."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core.ood import auroc_table
from gedi_nesy.data.load import load_pixels
from gedi_nesy.data.outliers import load_outliers
from gedi_nesy.data.points import load_points
from gedi_nesy.errors import UserError
from gedi_nesy.vision.published import AUROC_ON_IMAGES
from gedi_nesy.vision.run import Run

NOISE = "noise"  # uniform in the box that samples start from


def ood_auroc(run: Run, against: Sequence[str], data_dir: Path | None = None) -> dict[str, dict[str, Any]]:
    """AUROC of three scores between the run's test set and foreign points or images, equally many of both.

    Args:
        run: a finished run, on points or on images.
        against: what is foreign: for images what `load_outliers` knows; for points "noise", another toy or an .npz.
        data_dir: where images are looked for first.

    Returns:
        For each kind `images`, the number of images or points, and the AUROC of the `energy` (-E(x)), of the `gradient`
        (s(x) = -||d log p(x)/dx||_2; paper, Section N) and of `max_softmax` (max_y p(y|x)): 0.5 is
        chance. Where the paper has it, `published` is its AUROC of the gradient.

    Raises:
        UserError: if there are no such points or images, or points have another number of columns.
    """
    familiar, foreign = (_images if run.reads_images else _points)(run, against, data_dir)
    published = AUROC_ON_IMAGES.get((run.recipe.method, run.recipe.dataset), {})
    table = auroc_table(partial(ood_scores, run), familiar, foreign)
    return {name: row | ({"published": published[name]} if name in published else {}) for name, row in table.items()}


def ood_scores(run: Run, x: Tensor) -> dict[str, Tensor]:
    """The three scores, each high for familiar x: [n, ...] -> {name: [n]}."""
    return {
        "energy": -run.energy(x).cpu(),
        "gradient": run.ood_score(x).cpu(),
        "max_softmax": run.log_probs(x).amax(-1).cpu(),
    }


def _images(run: Run, against: Sequence[str], data_dir: Path | None) -> tuple[Tensor, dict[str, Tensor]]:
    _, familiar = load_pixels(run.recipe.dataset, data_dir)
    return familiar, {name: load_outliers(name, familiar, data_dir) for name in against}


def _points(run: Run, against: Sequence[str], data_dir: Path | None) -> tuple[Tensor, dict[str, Tensor]]:
    familiar = _load(run, run.recipe.dataset)
    foreign = {name: _noise(run, familiar) if name == NOISE else _load(run, name) for name in against}
    for name, points in foreign.items():
        if points.shape[1] != familiar.shape[1]:
            raise UserError(f"{name} has {points.shape[1]} columns and the run's points {familiar.shape[1]}.")
    return familiar, foreign


def _load(run: Run, name: str) -> Tensor:
    of = run.recipe
    return load_points(name, of.examples, of.seed, of.data_noise).x_test


def _noise(run: Run, familiar: Tensor) -> Tensor:
    """Equally many points, uniform in the box, always the same ones."""
    noise = torch.empty(familiar.shape).uniform_(*run.box, generator=torch.Generator().manual_seed(0))
    return run.scale.to_points(noise.to(run.scale.shift)).cpu()
