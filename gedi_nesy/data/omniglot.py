"""Omniglot: handwritten characters of many alphabets (Lake et al., 2015); foreign to MNIST."""

import io
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, ImageOps

from gedi_nesy.data.files import open_zip
from gedi_nesy.data.image_file import decode_image
from gedi_nesy.data.images import Images
from gedi_nesy.data.places import find


def load_omniglot(data_dir: Path | None = None) -> Images:
    """All images of PLACE/omniglot/*.zip as test images; no train images. The classes are the alphabets.

    Black on white 105x105 becomes white on black 28x28, as in MNIST (bilinear, with antialiasing).

    Raises:
        DataUnavailable: it is nowhere.
        UserError: an archive is corrupt.
    """
    return find("omniglot", data_dir, _read, "omniglot/*.zip")


def _read(place: Path) -> Images | None:
    archives = sorted((place / "omniglot").glob("*.zip"))
    if not archives:
        return None
    characters = [image for archive in archives for image in _read_archive(archive)]
    classes = sorted({alphabet for alphabet, _ in characters})
    x = torch.from_numpy(np.stack([pixels for _, pixels in characters])).unsqueeze(1)
    y = torch.tensor([classes.index(alphabet) for alphabet, _ in characters])
    return Images("omniglot", x[:0], y[:0], x, y, tuple(classes))


def _read_archive(archive: Path) -> list[tuple[str, np.ndarray]]:
    """(alphabet, uint8 [28, 28]) for each SET/ALPHABET/CHARACTER/*.png."""
    with open_zip(archive) as file:
        names = sorted(name for name in file.namelist() if name.endswith(".png"))
        return [(PurePosixPath(name).parts[-3], _pixels(file.read(name), f"{archive}/{name}")) for name in names]


def _pixels(png: bytes, name: str) -> np.ndarray:
    image = decode_image(io.BytesIO(png), name, "L")
    return np.asarray(ImageOps.invert(image).resize((28, 28), Image.Resampling.BILINEAR))
