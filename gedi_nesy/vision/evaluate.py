"""Every figure of a run on images, on its whole test set: clusters, features, samples. Labels serve to score only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core.subset import random_subset
from gedi_nesy.data.images import Images
from gedi_nesy.data.load import has_labels, load_images, load_pixels
from gedi_nesy.errors import UserError
from gedi_nesy.vision.agreement import score_clusters
from gedi_nesy.vision.extractor import Extractor, classifier_extractor, inception_extractor
from gedi_nesy.vision.fidelity import frechet_distance, kernel_distance, precision_recall, torch_fidelity
from gedi_nesy.vision.probe import knn_accuracy, linear_probe
from gedi_nesy.vision.published import FIGURES_ON_IMAGES
from gedi_nesy.vision.run import Run
from gedi_nesy.vision.samples import draw_images

REFERENCE = 10_000  # training images that samples are compared with, at most


def evaluate(
    run: Run,
    *,
    data_dir: Path | None = None,
    inception: Path | None = None,
    samples: int | None = None,
    steps: int = 500,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Score a finished run on the test set of the data set it was trained on.

    Args:
        run: on images, or on points, which have the figures of `Run.evaluate` only.
        data_dir: where images are looked for first.
        inception: the file with Inception's weights, for FID and KID; without it features are a small classifier's,
            which learns from labels.
        samples: how many to draw; 0 leaves their figures out. By default 1000, and with Inception's 2,048 features,
            whose covariance needs more of them, 10,000.
        steps: SGLD steps of each.
        progress: told what is being done.

    Returns:
        The figures of `score_clusters` and `score_features`, if there are labels, and of `score_samples`, or why there
        are none as `samples_failed`; `trained_with_gen`: whether L_GEN taught the energy that samples are drawn from;
        `published`: the paper's figures.

    Raises:
        UserError: if the data set is not to be had, the file of weights is not what it should be, or torch-fidelity is
            not installed.
    """
    if not run.reads_images:
        if inception:
            raise UserError(f"Inception reads images, and {run.folder.path} is a run on points; leave its weights out.")
        return run.evaluate()
    if samples is None:
        samples = default_samples(inception)
    labelled = load_images(run.recipe.dataset, data_dir) if has_labels(run.recipe.dataset) else None
    extractor = None
    if samples:
        torch_fidelity("metric_prc")  # so that a missing file is reported before minutes of work
        progress("features to compare samples in")
        extractor = _build_extractor(labelled, inception, run.scale.shift.device)
    figures: dict[str, Any] = {}
    if labelled:
        progress("clusters")
        classes = max(run.clusters, len(labelled.classes))
        figures |= score_clusters(run.predict(labelled.x_test).cpu(), labelled.y_test, classes, in_batches=True)
        progress("features")
        figures |= score_features(run, labelled)
    if extractor:
        pixels = (labelled.x_train, labelled.x_test) if labelled else load_pixels(run.recipe.dataset)
        figures |= _try_samples(run, samples, steps, *pixels, extractor, progress)
    elif samples:
        figures["samples_failed"] = (
            "Without labels there is no classifier to compare samples by; give Inception's weights."
        )
    figures["trained_with_gen"] = run.recipe.has_energy_model
    return figures | {"published": FIGURES_ON_IMAGES.get((run.recipe.method, run.recipe.dataset), {})}


def default_samples(inception: Path | None) -> int:
    """How many samples are drawn by default."""
    return 10_000 if inception else 1000


def _try_samples(
    run: Run,
    samples: int,
    steps: int,
    x_train: Tensor,
    x_test: Tensor,
    extractor: Extractor,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """The figures of samples, or why there are none, where chains diverged or are too few; other figures stay."""
    try:
        drawn = draw_images(run, samples, steps, progress=progress)
        progress("distances of samples")
        return score_samples(drawn, x_train, x_test, extractor) | {"sgld_steps": steps}
    except UserError as error:
        return {"samples_failed": str(error)}


def _build_extractor(labelled: Images | None, inception: Path | None, device: torch.device) -> Extractor | None:
    if inception:
        return inception_extractor(inception, device)
    return classifier_extractor(labelled, device) if labelled else None


def score_features(run: Run, images: Images) -> dict[str, float]:
    """Test accuracy of a linear probe and of nearest neighbours on the encoder's features of all training images."""
    train, test = run.features(images.x_train), run.features(images.x_test)
    y_train, y_test = images.y_train.to(train.device), images.y_test.to(train.device)
    return {
        "linear_probe": linear_probe(train, y_train, test, y_test),
        "knn": knn_accuracy(train, y_train, test, y_test),
    }


def score_samples(samples: Tensor, x_train: Tensor, x_test: Tensor, extractor: Extractor) -> dict[str, Any]:
    """How close samples are to training images, and as many test images to them, which samples can't hope to beat.

    All distances and shares depend on the number of images; compare only figures of equally many.

    Args:
        samples: uint8 [n, C, H, W].
        x_train: uint8 [N, C, H, W]; REFERENCE of them, always the same, stand for the data set.
        x_test: uint8 [M, C, H, W]; where it is x_train itself, there are no figures of test images.
        extractor: gives the features.

    Returns:
        `samples` and `test_images`: the Fréchet and the kernel distance by the names they have with this extractor,
        `precision` and `recall`, and how many `images`; `reference`: how many training images they are compared with;
        `extractor`: which one.
    """
    real = extractor(random_subset(x_train, REFERENCE))

    def compare(some: Tensor) -> dict[str, Any]:
        features = extractor(some)
        # manifolds of equally many points on both sides, as their balls shrink with the number
        precision, recall = precision_recall(real[: len(features)], features)
        return {
            extractor.frechet: frechet_distance(real, features),
            extractor.kernel: kernel_distance(real, features),
            "precision": precision,
            "recall": recall,
            "images": len(features),
        }

    figures: dict[str, Any] = {"samples": compare(samples)}
    if x_test is not x_train:
        figures["test_images"] = compare(random_subset(x_test, len(samples)))
    return figures | {"reference": len(real), "extractor": {"name": extractor.name, **extractor.facts}}
