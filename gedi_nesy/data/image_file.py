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
    picture = open_image(path, "L" if channels == 1 else "RGB")
    wanted = size[::-1]  # PIL says width first
    resized = picture if picture.size == wanted else picture.resize(wanted, Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized))  # [height, width] or [height, width, 3]
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1)


def open_image(path: Path, mode: str | None = None) -> Image.Image:
    """An image file, 8 bits a colour: PIL alone would cut 16 of them off at 255, and ignore what is transparent.

    Args:
        path: of a PNG or JPEG file.
        mode: PIL's, that it is converted to; by default its own.

    Raises:
        UserError: if the file is missing or no image, is transparent in places, or has pixels that can't be scaled to 8
            bits.
    """
    try:
        with Image.open(path) as image:
            image.load()
            is_transparent = image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255
            deep = np.asarray(image) if image.mode.startswith("I;16") else None
            picture = image.convert(mode) if mode and deep is None else image
    except FileNotFoundError as error:
        raise UserError(f"There is no image file {path}.") from error
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path} is not an image that can be read; give a PNG or JPEG file.") from error
    if is_transparent:
        raise UserError(f"{path} is transparent in places: save it with a background, light or dark as the others'.")
    if image.mode in ("I", "F") or (deep is not None and deep.max() < 256):  # white could be anything
        raise UserError(f"{path} has more than 8 bits a pixel and does not say how much is white: save it with 8.")
    if deep is not None:
        picture = Image.fromarray((deep / 257).round().astype(np.uint8))
        picture = picture.convert(mode) if mode else picture
    return picture
