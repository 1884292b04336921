"""One image file of any size as the image that a network reads."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gedi_nesy.errors import UserError


def read_image(path: Path, size: tuple[int, int], channels: int = 1) -> Tensor:
    """An image file, resized to (height, width): uint8 [channels, height, width].

    Args:
        path: of a PNG or JPEG file.
        size: height and width.
        channels: 1 makes it grey, 3 makes it colour.

    Raises:
        UserError: as `open_image`.
    """
    picture = open_image(path).convert("L" if channels == 1 else "RGB")
    wanted = size[::-1]  # PIL says width first
    resized = picture if picture.size == wanted else picture.resize(wanted, Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized))  # [height, width] or [height, width, 3]
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1)


def open_image(path: Path) -> Image.Image:
    """An image file, at most 8 bits a colour: PIL would cut 16 of them off at 255, and ignore what is transparent.

    Raises:
        UserError: if the file is missing or no image, is transparent in places or has pixels of more than 16 bits.
    """
    try:
        with Image.open(path) as image:
            image.load()
    except FileNotFoundError as error:
        raise UserError(f"There is no image file {path}.") from error
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} is not an image that can be read; give a PNG or JPEG file.") from error
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise UserError(f"{path} is transparent in places: save it with a background, light or dark as the others'.")
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UserError(f"{path} has pixels of 32 bits: save it with 8.")
    return image
