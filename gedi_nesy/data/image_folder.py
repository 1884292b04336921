"""Images from a folder: train/CLASS/*.png and test/CLASS/*.png; or without labels train/*.png, or *.png."""

import warnings
from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from gedi_nesy.data.image_file import ENDINGS, read_pixels
from gedi_nesy.data.images import Images
from gedi_nesy.errors import UserError

DROPPINGS = {"thumbs.db", "desktop.ini"}  # files that systems leave in folders without being asked


def read_image_folder(folder: Path) -> Images:
    """Read train/CLASS/* and test/CLASS/* (all of one size, all grey or all colour).

    Classes are numbered in the order of their names, by value where all are numbers.

    Raises:
        UserError: train or test is missing or empty, classes differ, an image is corrupt or unlike the first, or
            something lies among the images that would not be read.
    """
    _say_what_is_skipped(folder, ("train", "test"))
    classes = _classes(folder, "train")
    if (tested := _classes(folder, "test")) != classes:
        odd = sorted(set(tested) ^ set(classes))
        raise UserError(f"{folder}: class {odd[0]} is in only one of train and test; give both the same classes")
    paths = {split: [_only_images_in(folder / split / c) for c in classes] for split in ("train", "test")}
    for split, members in paths.items():
        for name, files in zip(classes, members, strict=True):
            if not files:
                raise UserError(f"{folder / split / name} has no .png or .jpg images: add some or remove the folder")
    first = paths["train"][0][0]
    (x_train, y_train), (x_test, y_test) = (_split(members, first) for members in paths.values())
    return Images(folder.resolve().name, x_train, y_train, x_test, y_test, tuple(classes))


def read_unlabelled_folder(folder: Path) -> tuple[Tensor, Tensor]:
    """Train and test images of a folder without classes, both uint8 [N, C, H, W].

    They lie in train/ and test/, or all in the folder itself; without test/ the training images are also the test
    images.

    Raises:
        UserError: there are folders or other files beside the images, test/ has none, or an image is corrupt or unlike
            the first.
    """
    root = folder / "train" if _images_in(folder / "train") else folder
    if strays := set(_folders_in(root)) - {"train", "test"}:
        raise UserError(
            f"{root} has images and the folder {min(strays)} beside them: for classes give train/CLASS/ and "
            "test/CLASS/, for images without labels no other folders"
        )
    train = _only_images_in(root, besides=("train", "test"))
    x_train, _ = _split([train], train[0])
    if not (folder / "test").is_dir():
        return x_train, x_train
    if not _images_in(folder / "test"):
        raise UserError(f"{folder / 'test'} has no .png or .jpg images of its own: add some or remove the folder")
    test = _only_images_in(folder / "test")
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
    _say_what_is_skipped(folder / split, names)
    return sorted(names, key=int) if all(n.isdecimal() for n in names) else sorted(names)


def _folders_in(folder: Path) -> list[str]:
    """The names of its folders, without hidden ones."""
    return [p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")] if folder.is_dir() else []


def _only_images_in(folder: Path, besides: Collection[str] = ()) -> list[Path]:
    """Its images, in order; UserError for any other file, which would silently not be read."""
    for path in _strays(folder, besides):
        if path.is_dir():
            raise UserError(f"{path} is a folder among images, which would not be read: put its images elsewhere")
        if path.suffix.lower() not in ENDINGS:
            known = ", ".join(sorted(ENDINGS))
            raise UserError(f"{path} would not be read, only {known} are: convert it, or put it elsewhere")
    return sorted(_images_in(folder))


def _say_what_is_skipped(folder: Path, read: Collection[str]) -> None:
    """Warn of anything beside the folders that are read, for example a folder val."""
    if folder.is_dir() and (strays := _strays(folder, read)):
        warnings.warn(f"{strays[0]} is not read, as nothing in {folder} but {', '.join(sorted(read))}.", stacklevel=2)


def _strays(folder: Path, besides: Collection[str]) -> list[Path]:
    """The contents of a folder, without hidden files and the folders `besides`."""
    known = {*DROPPINGS, *besides}
    return [p for p in sorted(folder.iterdir()) if not p.name.startswith(".") and not {p.name, p.name.lower()} & known]


def _images_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _is_image(path)] if folder.is_dir() else []


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".") and not path.is_dir()


def _split(members: list[list[Path]], first: Path) -> tuple[Tensor, Tensor]:
    """Images uint8 [N, C, H, W] and labels int64 [N] of the files of each class."""
    shape = tuple(read_pixels(first).shape)
    pixels = []
    for path in (path for files in members for path in files):
        pixels.append(read_pixels(path))
        if (this := tuple(pixels[-1].shape)) != shape:
            raise UserError(
                f"{path} is {this} (channels, height, width) where {first} is {shape}: give all one size "
                "and make all grey or all colour"
            )
    labels = [label for label, files in enumerate(members) for _ in files]
    return torch.stack(pixels), torch.tensor(labels)
