"""SVHN: 73,257 train and 26,032 test images of house numbers, 32x32, colour (Netzer et al., 2011)."""

from pathlib import Path

import torch

from gedi_nesy.data.files import read_bytes
from gedi_nesy.data.images import Images
from gedi_nesy.data.places import find
from gedi_nesy.errors import UserError

SPLITS = ("train", "test")


def load_svhn(data_dir: Path | None = None) -> Images:
    """SVHN from torchvision's layout (PLACE/train_32x32.mat, PLACE/test_32x32.mat), an .npz, or downloaded.

    Raises:
        DataUnavailable: it is nowhere, and could not be downloaded.
        UserError: a file of it is missing or corrupt.
    """
    return find("svhn", data_dir, _read, "train_32x32.mat and test_32x32.mat", _fetch)


def _fetch(root: str) -> None:
    from torchvision.datasets import SVHN  # slow to import

    for split in SPLITS:
        SVHN(root, split=split, download=True)


def _read(place: Path) -> Images | None:
    files = [place / f"{split}_32x32.mat" for split in SPLITS]
    if not any(file.is_file() for file in files):
        return None
    if missing := [file for file in files if not file.is_file()]:
        raise UserError(f"{missing[0]} is missing: put it there, or remove its sibling")
    from torchvision.datasets import SVHN

    for split, file in zip(SPLITS, files, strict=True):
        read_bytes(file, SVHN.split_list[split][2])  # torchvision checks too, but does not say which file it was
    train, test = (SVHN(place, split=split) for split in SPLITS)
    x_train, x_test = (torch.from_numpy(part.data).contiguous() for part in (train, test))
    y_train, y_test = (torch.from_numpy(part.labels).long() for part in (train, test))
    return Images("svhn", x_train, y_train, x_test, y_test, tuple("0123456789"))
