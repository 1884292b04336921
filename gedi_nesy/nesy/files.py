"""Predictions for a user's image files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from gedi_nesy.errors import UserError
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


def read_image(path: Path, size: tuple[int, int]) -> Tensor:
    """A grey image file, resized to (height, width): uint8 [1, height, width].

    Raises:
        UserError: if the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            grey = image.convert("L")
            resized = grey if grey.size == size[::-1] else grey.resize(size[::-1], Image.Resampling.BILINEAR)
            return torch.from_numpy(np.array(resized))[None]
    except FileNotFoundError as error:
        raise UserError(f"There is no image file {path}.") from error
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(f"{path} is not an image that can be read; give a PNG or JPEG file.") from error
