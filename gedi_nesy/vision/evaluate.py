"""Every figure of a run on images, on its whole test set: clusters, features, samples. Labels serve to score only."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core.metrics import batch_nmi, chance_batch_nmi, score
from gedi_nesy.data.images import Images
from gedi_nesy.vision.extractor import Extractor
from gedi_nesy.vision.fidelity import frechet_distance, kernel_distance, precision_recall
from gedi_nesy.vision.probe import knn_accuracy, linear_probe
from gedi_nesy.vision.run import Run

PAPERS_BATCH = 64  # over which the paper's NMI of images seems to be averaged
REFERENCE = 10_000  # training images that samples are compared with, at most
CHAINS = 250  # that are run at a time


def reads_images(run: Run) -> bool:
    """Whether a run is on images, and not on points."""
    return run.scale.shift.dim() == 3


def score_clusters(predictions: Tensor, labels: Tensor, classes: int) -> dict[str, float]:
    """Agreement of clusters and labels, int64 [images] both: on all images, and as the paper seems to have it.

    Returns:
        `nmi`, `ami`, `cluster_accuracy` (Hungarian); `nmi_batch64`, the mean over batches of 64, beside which
        `nmi_batch64_chance` is what it gives the same clusters dealt out at random.
    """
    found = score(predictions, labels, classes)
    return {
        "nmi": found.nmi,
        "ami": found.ami,
        "cluster_accuracy": found.cluster_accuracy,
        "nmi_batch64": batch_nmi(predictions.cpu(), labels.cpu(), PAPERS_BATCH),
        "nmi_batch64_chance": chance_batch_nmi(predictions.cpu(), labels.cpu(), PAPERS_BATCH),
    }


def score_features(run: Run, images: Images) -> dict[str, float]:
    """Test accuracy of a linear probe and of nearest neighbours on the encoder's features of all training images."""
    train, test = run.features(images.x_train), run.features(images.x_test)
    y_train, y_test = images.y_train.to(train.device), images.y_test.to(train.device)
    return {
        "linear_probe": linear_probe(train, y_train, test, y_test),
        "knn": knn_accuracy(train, y_train, test, y_test),
    }


def draw_images(
    run: Run, n: int, steps: int, seed: int = 0, progress: Callable[[str], None] = lambda text: None
) -> Tensor:
    """Images that the energy model draws, uint8 [n, C, H, W] on CPU: SGLD chains of so many steps from uniform noise.

    Raises:
        UserError: if the run was trained without L_GEN.
    """
    parts = []
    for first in range(0, n, CHAINS):
        progress(f"samples {first:,} to {min(first + CHAINS, n):,} of {n:,}, {steps:,} SGLD steps each")
        # chains have seeds of their own, so that no two parts are alike
        part = run.sample(min(CHAINS, n - first), steps=steps, seed=seed + first)
        parts.append(part.round().clamp(0, 255).to(torch.uint8).cpu())
    return torch.cat(parts)


def score_samples(samples: Tensor, images: Images, extractor: Extractor) -> dict[str, Any]:
    """How close samples are to training images, and as many test images likewise: what nothing can be expected to beat.

    All distances and shares depend on the number of images; compare only what has equally many.

    Args:
        samples: uint8 [n, C, H, W].
        images: the data set; REFERENCE of its training images, always the same, stand for it.
        extractor: whose features.

    Returns:
        `samples` and `test_images`: the Fréchet and the kernel distance by the names they have with this extractor,
        `precision` and `recall`, and how many `images`; `extractor`: which one.
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
        "extractor": {"name": extractor.name, **extractor.facts},
    }


def _draw(images: Tensor, n: int) -> Tensor:
    """n of the images at random, or all where there are fewer; always the same ones."""
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:n]]
