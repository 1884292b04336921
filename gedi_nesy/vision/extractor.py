"""Features of images by which samples are compared with real ones, and the names of the distances."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.data.images import Images
from gedi_nesy.errors import UserError
from gedi_nesy.files import read_regular
from gedi_nesy.vision.classifier import load_classifier
from gedi_nesy.vision.fidelity import torch_fidelity

CHUNK = 250  # images whose features are computed at a time
INCEPTION = "6726825d"  # the first digits of the SHA-256 of torch-fidelity's file of weights, which its name has


@dataclass(frozen=True)
class Extractor:
    """Turns images into features.

    Attributes:
        name: "inception" or "classifier".
        frechet: the name of a Fréchet distance of these features: FID is Inception's alone.
        kernel: the name of a kernel distance of these features.
        extract: uint8 [n, channels, height, width] -> [n, d], for a few images on its device.
        device: where it computes.
        facts: what tells this extractor from others of its name.
    """

    name: str
    frechet: str
    kernel: str
    extract: Callable[[Tensor], Tensor]
    device: torch.device
    facts: dict[str, Any] = field(default_factory=dict)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Features of images, uint8 [n, channels, height, width], as float32 [n, d] on CPU."""
        return torch.cat([self.extract(chunk.to(self.device)).float().cpu() for chunk in images.split(CHUNK)])


def inception_extractor(weights: Path, device: torch.device | str = "cpu") -> Extractor:
    """Inception-v3's 2,048 features, as FID and KID are defined on; torch-fidelity's port of the original network.

    Args:
        weights: torch-fidelity's weights-inception-2015-12-05-6726825d.pth; nothing is downloaded.
        device: where it computes.

    Raises:
        UserError: the file is missing, or is another one, or torch-fidelity is not installed.
    """
    inception = torch_fidelity("feature_extractor_inceptionv3")
    try:
        digest = hashlib.sha256(read_regular(weights)).hexdigest()
    except OSError as error:
        raise UserError(f"There is no file {weights} with Inception's weights.") from error
    if not digest.startswith(INCEPTION):
        raise UserError(
            f"{weights} does not hold the weights of Inception as torch-fidelity has them; download "
            f"weights-inception-2015-12-05-{INCEPTION}.pth from its releases."
        )
    torch.load(weights, weights_only=True)  # torch-fidelity itself would run whatever code a file holds
    build = inception.FeatureExtractorInceptionV3
    net = build("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)).to(device)

    def extract(images: Tensor) -> Tensor:
        (features,) = net(images.expand(-1, 3, -1, -1))  # grey images get three equal channels
        return features

    return Extractor("inception", "FID", "KID", extract, torch.device(device))


def classifier_extractor(images: Images, device: torch.device | str = "cpu") -> Extractor:
    """The 128 features of a small classifier of a data set, trained on its labels at the first call and then kept.

    Args:
        images: the data set.
        device: where it learns and computes.
    """
    classifier = load_classifier(images, device)
    features, where = classifier.net.features, torch.device(device)
    facts = {"key": classifier.key, "accuracy": classifier.accuracy, "weights": classifier.digest}
    return Extractor("classifier", "FD(classifier)", "KD(classifier)", features, where, facts)
