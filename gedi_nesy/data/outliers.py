"""Inputs that an energy model should call foreign: images of another kind, or familiar ones changed; vectors, too."""

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from gedi_nesy.data.image_file import ENDINGS, read_image
from gedi_nesy.data.load import DATASETS, load_pixels
from gedi_nesy.errors import UserError, did_you_mean
from gedi_nesy.views.features import exchange_features
from gedi_nesy.views.pictures import grey

# Outliers made from the run's own test images, uint8 [images, channels, height, width]
MADE: dict[str, Callable[[Tensor], Tensor]] = {
    "rotated": lambda familiar: familiar.rot90(1, (2, 3)),
    "inverted": lambda familiar: 255 - familiar,
    "noise": lambda familiar: _noise(familiar),
}
# The same from its own vectors, float [n, D]
MADE_OF_VECTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "exchanged": lambda familiar: exchange_features(familiar, familiar, torch.Generator().manual_seed(0)),
    "noise": lambda familiar: _normal_noise(familiar),
}


def made_outliers(familiar: Tensor) -> tuple[str, ...]:
    """The names of the outliers that can be made from these inputs."""
    if familiar.is_floating_point():
        return tuple(MADE_OF_VECTORS)
    height, width = familiar.shape[2:]
    return tuple(name for name in MADE if name != "rotated" or height == width)


def load_outliers(name: str, familiar: Tensor, data_dir: Path | None = None) -> Tensor:
    """Foreign images, or vectors, as the network reads them.

    Args:
        name: one of MADE ("rotated" is by 90 degrees, "noise" uniform), the name of a data set, of which the test
            images count, an .npz file, or a folder, of which all image files count, however deep they lie. Of vectors
            one of MADE_OF_VECTORS ("exchanged" has every second feature from another vector, "noise" is normal with the
            mean and the deviation of each feature), or an .npz file.
        familiar: the run's own test images, uint8 [images, 1 or 3, height, width], or vectors, float [n, D].
        data_dir: where a named data set is looked for first.

    Returns:
        Images with as many channels and of the same size, uint8 [outliers, 1 or 3, height, width]; or vectors of the
        same length.

    Raises:
        UserError: if there are no such images, or they can't be read.
    """
    if familiar.is_floating_point():
        return _foreign_vectors(name, familiar, data_dir)
    channels, height, width = familiar.shape[1:]
    if name == "rotated" and height != width:
        raise UserError(f"Images of {height}x{width} pixels have another shape when they are rotated; leave it out.")
    if name in MADE:
        return MADE[name](familiar)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _read_folder(folder, channels, (height, width))
    if name not in DATASETS and folder.suffix != ".npz":
        known = [*MADE, *DATASETS]
        hint = did_you_mean(name.lower(), known)
        raise UserError(f"no dataset {name!r}{hint}: take {', '.join(known)}, an .npz file or a folder")
    _, images = load_pixels(name, data_dir)
    if not len(images):
        raise UserError(f"{name} has no test images, and only these serve as outliers.")
    return _fit(images, channels, (height, width))


def _foreign_vectors(name: str, familiar: Tensor, data_dir: Path | None) -> Tensor:
    if name in MADE_OF_VECTORS:
        return MADE_OF_VECTORS[name](familiar)
    if Path(name).suffix != ".npz":
        hint = did_you_mean(name.lower(), MADE_OF_VECTORS)
        raise UserError(f"no outliers {name!r} of vectors{hint}: take {', '.join(MADE_OF_VECTORS)} or an .npz file")
    _, vectors = load_pixels(name, data_dir)
    if vectors.shape[1:] != familiar.shape[1:]:
        raise UserError(
            f"{name} has {list(vectors.shape[1:])} where the run's vectors have {list(familiar.shape[1:])}."
        )
    return vectors.float()


def _read_folder(folder: Path, channels: int, size: tuple[int, int]) -> Tensor:
    files = sorted(path for path in folder.rglob("*") if not path.is_dir() and not path.name.startswith("."))
    paths = [path for path in files if path.suffix.lower() in ENDINGS]
    if not paths:
        raise UserError(f"The folder {folder} holds no .png or .jpg images.")
    if strays := [path for path in files if path not in set(paths)]:
        warnings.warn(f"{len(strays)} files of {folder} are no images that are read, as {strays[0]}.", stacklevel=2)
    return torch.stack([read_image(path, size, channels) for path in paths])


def _fit(images: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    """uint8 [images, 1 or 3, any, any] -> uint8 [images, channels, *size], bilinear with antialiasing."""
    if images.shape[1:] == (channels, *size):
        return images
    return torch.cat([_fit_chunk(chunk, channels, size) for chunk in images.split(1000)])


def _fit_chunk(images: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    x = grey(images.float())[:, :1] if channels == 1 else images.float()
    resized = F.interpolate(x, size, mode="bilinear", antialias=True).round_().to(torch.uint8)
    return resized.expand(-1, channels, -1, -1)


def _normal_noise(familiar: Tensor) -> Tensor:
    """As many vectors of normal noise as familiar ones, always the same ones."""
    noise = torch.randn(familiar.shape, generator=torch.Generator().manual_seed(0))
    return familiar.mean(0) + familiar.std(0) * noise


def _noise(familiar: Tensor) -> Tensor:
    """As many images of uniform noise as familiar ones, always the same ones."""
    return torch.randint(256, familiar.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
