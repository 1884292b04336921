"""Pictures or vectors in any form that a user gives to a finished run, as its networks read them."""

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.data.given_images import GivenImages, as_tensor
from gedi_nesy.data.scale import Scale
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.reading import Reading


def given_inputs(given: GivenImages, reading: Reading, images: int, device: torch.device) -> Tensor:
    """Network inputs, [n, images * C, H, W] or [n, images * D].

    Args:
        given: pictures as uint8, or floats in [0, 1], [n, images * C, H, W], for one channel also [n, H, W], or a
            single one; the path of an image file, or a list of paths; or vectors of numbers, [n, images * D] or a
            single one.
        reading: how the network reads its inputs.
        images: how many it reads at once, their channels or numbers one after the other.
        device: the network's.

    Raises:
        UserError: they have another shape, or floats are no intensities.
    """
    if reading.is_vector:
        return reading.scale.to_inputs(_as_vectors(given, images * reading.shape[0]).to(device))
    x = _as_pictures(given, reading, images)
    scale = reading.scale
    assert isinstance(scale, Scale)
    if x.dtype == torch.uint8:
        return scale.to_inputs(x.to(device))
    if not ((x >= 0) & (x <= 1)).all():
        raise UserError("Images of floats must lie in [0, 1]; divide bytes by 255, or give uint8.")
    return (x.to(device).float() - scale.shift) / scale.spread


def _as_pictures(given: GivenImages, reading: Reading, images: int) -> Tensor:
    """uint8 or float [n, images * C, H, W]."""
    each, height, width = reading.shape
    channels = images * each
    x = as_tensor(given, (height, width), each)
    if x.dim() == 2:
        x = x[None, None]
    elif x.dim() == 3:
        x = x[None] if len(x) == channels > 1 else x.unsqueeze(1)
    if x.shape[1:] != (channels, height, width):
        wanted = f"[images, {channels}, {height}, {width}]"
        raise UserError(f"The run takes images of shape {wanted}, not {list(x.shape)}.")
    return x


def _as_vectors(given: GivenImages, size: int) -> Tensor:
    """Float [n, size]."""
    try:
        x = given.detach() if isinstance(given, Tensor) else torch.from_numpy(np.asarray(given, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise UserError(f"The run takes vectors of {size} numbers, not {type(given).__name__} ({error}).") from error
    x = x[None] if x.dim() == 1 else x
    if x.dim() != 2 or x.shape[1] != size:
        raise UserError(f"The run takes vectors of shape [n, {size}], not {list(x.shape)}.")
    if not x.isfinite().all():
        raise UserError("A vector has a value that is no finite number; mend it.")
    return x.float()
