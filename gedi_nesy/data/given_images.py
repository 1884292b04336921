"""Images as a Python user has them: tensors, arrays, lists, paths."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.data.image_file import read_image
from gedi_nesy.errors import UserError

GivenImages = Tensor | np.ndarray | str | PathLike[str] | Sequence[Any]


def as_tensor(given: GivenImages, size: tuple[int, int], channels: int = 1) -> Tensor:
    """Images in any form as one tensor: uint8, or floats as they were given.

    Args:
        given: a tensor or an array, numbers in nested lists, the path of an image file, or a list of any of these.
        size: (height, width) to which image files are resized.
        channels: 1 makes image files grey, 3 makes them colour.

    Returns:
        In the shape that was given; a path as [channels, height, width], a list of images with one dimension more.

    Raises:
        UserError: if it is none of these, an image file can't be read, or images of a list differ in shape.
    """
    if isinstance(given, str | PathLike):
        return read_image(Path(given), size, channels)
    if isinstance(given, list | tuple) and any(isinstance(one, str | PathLike | Tensor | np.ndarray) for one in given):
        images = [as_tensor(one, size, channels) for one in given]
        shapes = {tuple(image.shape) for image in images} | {image.dtype for image in images}
        if len(shapes) > 2:
            raise UserError(f"The images of a list must have one shape and type, not {', '.join(map(str, shapes))}.")
        return torch.stack(images)
    return _numbers(given)


def _numbers(given: Any) -> Tensor:
    """Numbers as a tensor; whole ones from 0 to 255 as bytes."""
    try:
        array = (
            given if isinstance(given, Tensor) else torch.from_numpy(np.array(given))
        )  # a copy: PIL's arrays are read-only
    except (TypeError, ValueError) as error:
        wanted = "a tensor, an array, nested lists of numbers, the path of an image file, or a list of these"
        raise UserError(f"Images are {wanted}, not {type(given).__name__} ({error}).") from error
    if array.dtype.is_floating_point or array.dtype == torch.uint8:
        return array
    if array.dtype == torch.bool:
        return array.float()
    if array.numel() and not 0 <= int(array.min()) <= int(array.max()) <= 255:
        raise UserError(f"Whole numbers of an image are bytes, 0 to 255, not {array.min()} to {array.max()}.")
    return array.to(torch.uint8)
