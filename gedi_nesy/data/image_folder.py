"""Images from a folder: train/CLASS/*.png and test/CLASS/*.png; or without labels train/*.png, or *.png."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.data.image_file import open_image
from gedi_nesy.data.images import Images
from gedi_nesy.errors import UserError

ENDINGS = {".png", ".jpg", ".jpeg"}
# PIL's mode of a file: what it is read as
CHANNELS = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "RGB": "RGB", "RGBA": "RGB"}


def read_image_folder(folder: Path) -> Images:
    """Read train/CLASS/* and test/CLASS/* (PNG or JPEG, all of one size, all grey or all colour).

    Classes are numbered in the order of their names, by value where all are numbers.

    Raises:
        UserError: train or test is missing or empty, classes differ, or an image is corrupt or unlike the first.
    """
    classes = _classes(folder, "train")
    if (found := _classes(folder, "test")) != classes:
        odd = sorted(set(found) ^ set(classes))
        raise UserError(f"{folder}: class {odd[0]} is in only one of train and test; give both the same classes")
    paths = {split: [sorted(_images_in(folder / split / c)) for c in classes] for split in ("train", "test")}
    for split, members in paths.items():
        for name, files in zip(classes, members, strict=True):
            if not files:
                raise UserError(f"{folder / split / name} has no .png or .jpg images: add some or remove the folder")
    first = paths["train"][0][0]
    (x_train, y_train), (x_test, y_test) = (_split(members, first) for members in paths.values())
    return Images(folder.resolve().name, x_train, y_train, x_test, y_test, tuple(classes))


def read_unlabelled_folder(folder: Path) -> tuple[Tensor, Tensor]:
    """Train and test images of a folder without classes, both uint8 [N, C, H, W].

    They lie in train/ and test/, or all in the folder itself; without test/ those of training are the test images too.

    Raises:
        UserError: there are folders beside the images, test/ has none, or an image is corrupt or unlike the first.
    """
    root = folder / "train" if _images_in(folder / "train") else folder
    if strays := set(_folders_in(root)) - {"train", "test"}:
        raise UserError(
            f"{root} has images and the folder {min(strays)} beside them: for classes give train/CLASS/ and "
            "test/CLASS/, for images without labels no other folders"
        )
    train = sorted(_images_in(root))
    x_train, _ = _split([train], train[0])
    if not (folder / "test").is_dir():
        return x_train, x_train
    test = sorted(_images_in(folder / "test"))
    if not test:
        raise UserError(f"{folder / 'test'} has no .png or .jpg images of its own: add some or remove the folder")
    return x_train, _split([test], train[0])[0]


def lacks_classes(folder: Path) -> bool:
    """Whether images of a folder lie in it, or in its train/, without folders of classes between."""
    return not _folders_in(folder / "train") and bool(_images_in(folder / "train") or _images_in(folder))


def _classes(folder: Path, split: str) -> list[str]:
    names = _folders_in(folder / split)
    if not names:
        raise UserError(
            f"{folder} has no {split}/CLASS/ folders: an image folder needs train/CLASS/ and test/CLASS/, or without "
            "labels images alone"
        )
    return sorted(names, key=int) if all(n.isdecimal() for n in names) else sorted(names)


def _folders_in(folder: Path) -> list[str]:
    """Their names; hidden ones apart."""
    return [p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")] if folder.is_dir() else []


def _images_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS] if folder.is_dir() else []


def _split(members: list[list[Path]], first: Path) -> tuple[Tensor, Tensor]:
    """Images uint8 [N, C, H, W] and labels int64 [N] of the files of each class."""
    shape = _pixels(first).shape
    pixels = []
    for path in (path for files in members for path in files):
        pixels.append(_pixels(path))
        if pixels[-1].shape != shape:
            raise UserError(
                f"{path} is {pixels[-1].shape} (channels, height, width) where {first} is {shape}: give all one size "
                "and make all grey or all colour"
            )
    labels = [label for label, files in enumerate(members) for _ in files]
    return torch.from_numpy(np.stack(pixels)), torch.tensor(labels)


def _pixels(path: Path) -> np.ndarray:
    """uint8 [C, H, W]."""
    image = open_image(path)
    if image.mode not in CHANNELS:
        raise UserError(f"{path} has pixels of kind {image.mode}: save it as an 8-bit grey or RGB image")
    pixels = np.asarray(image.convert(CHANNELS[image.mode]))
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
