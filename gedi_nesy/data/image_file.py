"""One image file of any size as the image that a network reads."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from gedi_nesy.errors import UserError


def read_image(path: Path, size: tuple[int, int], channels: int = 1) -> Tensor:
    """An image file, resized to (height, width): uint8 [channels, height, width].

    Args:
        path: of a PNG or JPEG file.
        size: height and width.
        channels: 1 makes it grey, 3 makes it colour.

    Raises:
        UserError: if the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            picture = image.convert("L" if channels == 1 else "RGB")
    except FileNotFoundError as error:
        raise UserError(f"There is no image file {path}.") from error
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(f"{path} is not an image that can be read; give a PNG or JPEG file.") from error
    wanted = size[::-1]  # PIL says width first
    resized = picture if picture.size == wanted else picture.resize(wanted, Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized))  # [height, width] or [height, width, 3]
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1)
