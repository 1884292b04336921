"""One image file of any size as the grey image that a network reads."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from gedi_nesy.errors import UserError


def read_image(path: Path, size: tuple[int, int]) -> Tensor:
    """A grey image file, resized to (height, width): uint8 [1, height, width].

    Raises:
        UserError: if the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            grey = image.convert("L")
    except FileNotFoundError as error:
        raise UserError(f"There is no image file {path}.") from error
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(f"{path} is not an image that can be read; give a PNG or JPEG file.") from error
    wanted = size[::-1]  # PIL says width first
    resized = grey if grey.size == wanted else grey.resize(wanted, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(resized))[None]
