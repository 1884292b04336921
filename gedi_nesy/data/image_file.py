"""One image file of any size as the image that a network reads."""

import math
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.files import open_regular

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")  # PIL knows forty more, and runs Ghostscript for one
ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
# from the PIL mode of a file to the mode in which it is read
COLOURS = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "RGB": "RGB", "RGBA": "RGB"}
MAX_PIXELS = 64_000_000  # decoded in all its forms, an image takes ten bytes of memory for each


def read_image(path: Path, size: tuple[int, int], channels: int = 1) -> Tensor:
    """An image file, scaled to fit (height, width): uint8 [channels, height, width].

    An image of another shape keeps its ratio of width to height, with a warning, and is centred on its own ground.

    Args:
        path: of a file in one of FORMATS.
        size: height and width.
        channels: 1 makes it grey, 3 makes it colour.

    Raises:
        UserError: as `open_image`.
    """
    picture = open_image(path, "L" if channels == 1 else "RGB")
    pixels = torch.from_numpy(np.array(_fit(picture, *size)))  # [height, width] or [height, width, 3]
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1)


def read_pixels(path: Path) -> Tensor:
    """An image file as it is, uint8 [1 or 3, height, width].

    Raises:
        UserError: as `open_image`, or it is neither grey nor RGB.
    """
    image = open_image(path)
    if image.mode not in COLOURS:
        raise UserError(f"{path} has pixels of kind {image.mode}: save it as an 8-bit grey or RGB image")
    pixels = torch.from_numpy(np.array(image.convert(COLOURS[image.mode])))
    return pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1).contiguous()


def _fit(picture: Image.Image, height: int, width: int) -> Image.Image:
    """The whole picture at that size; what it does not fill gets its ground, the median of the pixels at its edge."""
    if picture.size == (width, height):  # PIL says width first
        return picture
    scale = min(width / picture.width, height / picture.height)
    inner = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
    resized = picture.resize(inner, Image.Resampling.BILINEAR)
    if inner == (width, height):
        return resized
    warnings.warn(
        f"images that are not of the shape {width}x{height} keep their ratio of width to height: they are scaled to "
        "fit, and centred on the median of the pixels at their edge",
        stacklevel=3,
    )
    pixels = np.asarray(picture)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = np.median(edge, axis=0).round().astype(np.uint8)
    sheet = Image.fromarray(np.broadcast_to(ground, (height, width, *ground.shape)).copy())
    sheet.paste(resized, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return sheet


def open_image(path: Path, mode: str | None = None) -> Image.Image:
    """An image file, upright, 8 bits a colour; of several frames or pages the first.

    Args:
        path: of a file in one of FORMATS.
        mode: PIL's, that it is converted to; by default its own.

    Raises:
        UserError: if the file is missing or no image, has too many pixels, is transparent in places, or has pixels that
            can't be scaled to 8 bits.
    """
    try:
        with open_regular(path) as file:
            return decode_image(file, str(path), mode)
    except FileNotFoundError as error:
        raise UserError(f"There is no image file {path}.") from error
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise _unreadable(str(path)) from error


def decode_image(file: BinaryIO, name: str, mode: str | None = None) -> Image.Image:
    """As `open_image`, from an open file whose name is for messages: PIL alone would cut 16 bits off at 255, ignore
    transparency and the orientation of the camera, and start other programs for some formats.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # many pixels are refused below
            image = Image.open(file, formats=FORMATS)
        _refuse_many_pixels(image.size, name)
        picture = ImageOps.exif_transpose(image)
        is_transparent = picture.has_transparency_data and np.asarray(picture.convert("RGBA"))[..., 3].min() < 255
        deep = np.asarray(picture) if picture.mode.startswith("I;16") else None
        converted = picture.convert(mode) if mode and deep is None else picture
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(f"{name} has more than {MAX_PIXELS:,} pixels; scale it down.") from error
    except Exception as error:  # PIL raises whatever the damaged bytes make it raise
        raise _unreadable(name) from error
    if is_transparent:
        raise UserError(f"{name} is transparent in places: save it with a background, light or dark as the others'.")
    if picture.mode in ("I", "F") or (deep is not None and deep.max() < 256):  # white could be anything
        raise UserError(f"{name} has more than 8 bits a pixel and does not say how much is white: save it with 8.")
    if deep is not None:
        scaled = Image.fromarray((deep / 257).round().astype(np.uint8))
        return scaled.convert(mode) if mode else scaled
    return converted


def _refuse_many_pixels(size: tuple[int, int], name: str) -> None:
    if math.prod(size) > MAX_PIXELS:
        width, height = size
        raise UserError(f"{name} has {width:,}x{height:,} pixels, more than {MAX_PIXELS:,}; scale it down.")


def _unreadable(name: str) -> UserError:
    return UserError(f"{name} is not an image that can be read; give a PNG, JPEG, WebP, BMP, TIFF or GIF file.")
