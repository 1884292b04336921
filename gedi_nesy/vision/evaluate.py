"""Every figure of a run on images, on its whole test set: clusters, features, samples. Labels serve to score only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.data.images import Images
from gedi_nesy.data.load import load_images
from gedi_nesy.errors import UserError
from gedi_nesy.vision.agreement import score_clusters
from gedi_nesy.vision.extractor import Extractor, classifier_extractor, inception_extractor
from gedi_nesy.vision.fidelity import frechet_distance, kernel_distance, precision_recall
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
        inception: the file with Inception's weights, for FID and KID; without it features are a small classifier's.
        samples: how many to draw where L_GEN was on; 0 leaves their figures out. By default 1000, and with Inception's
            2,048 features, whose covariance needs more of them, 10,000.
        steps: SGLD steps of each.
        progress: told what is being done.

    Returns:
        The figures of `score_clusters`, `score_features` and `score_samples`, or why there are no such of samples as
        `samples_failed`; in `published` what the paper reports.

    Raises:
        UserError: if the data set is not to be had, or the file of weights is not what it should be.
    """
    if not run.reads_images:
        if inception:
            raise UserError(f"Inception reads images, and {run.folder.path} is a run on points; leave its weights out.")
        return run.evaluate()
    if samples is None:
        samples = 10_000 if inception else 1000
    images = load_images(run.recipe.dataset, data_dir)
    extractor = None
    if samples and run.recipe.has_energy_model:
        device = run.scale.shift.device
        progress("features to compare samples in")
        extractor = inception_extractor(inception, device) if inception else classifier_extractor(images, device)
    progress("clusters")
    predictions = run.predict(images.x_test).cpu()
    classes = max(run.clusters, len(images.classes))
    figures: dict[str, Any] = score_clusters(predictions, images.y_test, classes, in_batches=True)
    progress("features")
    figures |= score_features(run, images)
    if extractor:
        try:
            drawn = draw_images(run, samples, steps, progress=progress)
            progress("distances of samples")
            figures |= score_samples(drawn, images, extractor) | {"steps": steps}
        except UserError as error:  # exploded, or too few of them: the other figures stand all the same
            figures["samples_failed"] = str(error)
    return figures | {"published": FIGURES_ON_IMAGES.get((run.recipe.method, run.recipe.dataset), {})}


def score_features(run: Run, images: Images) -> dict[str, float]:
    """Test accuracy of a linear probe and of nearest neighbours on the encoder's features of all training images."""
    train, test = run.features(images.x_train), run.features(images.x_test)
    y_train, y_test = images.y_train.to(train.device), images.y_test.to(train.device)
    return {
        "linear_probe": linear_probe(train, y_train, test, y_test),
        "knn": knn_accuracy(train, y_train, test, y_test),
    }


def score_samples(samples: Tensor, images: Images, extractor: Extractor) -> dict[str, Any]:
    """How close samples are to training images, and as many test images likewise: what nothing can be expected to beat.

    All distances and shares depend on the number of images; compare only what has equally many.

    Args:
        samples: uint8 [n, C, H, W].
        images: the data set; REFERENCE of its training images, always the same, stand for it.
        extractor: whose features.

    Returns:
        `samples` and `test_images`: the Fréchet and the kernel distance by the names they have with this extractor,
        `precision` and `recall`, and how many `images`; `reference`: how many training images they are compared with;
        `extractor`: which one.
    """
    real = extractor(_draw(images.x_train, REFERENCE))

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

    return {
        "samples": compare(samples),
        "test_images": compare(_draw(images.x_test, len(samples))),
        "reference": len(real),
        "extractor": {"name": extractor.name, **extractor.facts},
    }


def _draw(images: Tensor, n: int) -> Tensor:
    """n of the images at random, or all where there are fewer; always the same ones."""
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:n]]
