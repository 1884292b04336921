"""Predictions for a user's image files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gedi_nesy.data.image_file import read_image
from gedi_nesy.nesy.run import Run


def predict_files(run: Run, paths: Sequence[Path], network: str | None = None) -> list[dict[str, Any]]:
    """The symbol on each image file, its probability, and the image's energy (high: unlike the training images).

    Raises:
        UserError: if a file is missing or no image.
    """
    images = torch.stack([read_image(path, (28, 28)) for path in paths])
    symbols = run.predict(images, network)
    probabilities = run.log_probs(images, network).exp().amax(-1).tolist()
    energies = run.energy(images, network).tolist()
    return [
        {"image": str(path), "symbol": str(symbol), "probability": probability, "energy": energy}
        for path, symbol, probability, energy in zip(paths, symbols, probabilities, energies, strict=True)
    ]
