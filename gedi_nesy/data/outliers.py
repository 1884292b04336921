"""Images that are no digits, or digits as nobody writes them: what an energy model should call foreign."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from gedi_nesy.data.image_file import read_image
from gedi_nesy.data.image_folder import ENDINGS
from gedi_nesy.data.load import load_images
from gedi_nesy.errors import UserError

SIZE = (28, 28)
GREY = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)  # luma of red, green and blue (ITU-R BT.601)

# Outliers made from the run's own test images, uint8 [images, 1, 28, 28]
MADE: dict[str, Callable[[Tensor], Tensor]] = {
    "rotated": lambda digits: digits.rot90(1, (2, 3)),
    "inverted": lambda digits: 255 - digits,
    "noise": lambda digits: _noise(digits),
}


def load_outliers(name: str, digits: Tensor, data_dir: Path | None = None) -> Tensor:
    """Foreign images as the network reads them.

    Args:
        name: one of MADE ("rotated" is by 90 degrees, "noise" uniform), the name of a data set, of which the test
            images count, an .npz file, or a folder, of which all PNG and JPEG files count, however deep they lie.
        digits: the run's own test images, uint8 [images, 1, 28, 28].
        data_dir: where a named data set is looked for first.

    Returns:
        Grey images, uint8 [outliers, 1, 28, 28].

    Raises:
        UserError: if there are no such images, or they can't be read.
    """
    if name in MADE:
        return MADE[name](digits)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _read_folder(folder)
    images = load_images(name, data_dir).x_test
    if not len(images):
        raise UserError(f"{name} has no test images, and only these serve as outliers.")
    return _grey(images)


def _read_folder(folder: Path) -> Tensor:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not paths:
        raise UserError(f"The folder {folder} holds no .png or .jpg images.")
    return torch.stack([read_image(path, SIZE) for path in paths])


def _grey(images: Tensor) -> Tensor:
    """uint8 [images, 1 or 3, height, width] -> uint8 [images, 1, 28, 28], bilinear with antialiasing."""
    if images.shape[1:] == (1, *SIZE):
        return images
    chunks = []
    for chunk in images.split(1000):
        grey = chunk.float() if chunk.shape[1] == 1 else (chunk * GREY).sum(1, keepdim=True)
        chunks.append(F.interpolate(grey, SIZE, mode="bilinear", antialias=True).round_().to(torch.uint8))
    return torch.cat(chunks)


def _noise(digits: Tensor) -> Tensor:
    """As many images of uniform noise as digits, always the same ones."""
    return torch.randint(256, digits.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
