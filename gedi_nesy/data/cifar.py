"""CIFAR-10 and CIFAR-100: 50,000 train and 10,000 test images, 32x32, colour (Krizhevsky, 2009)."""

from functools import partial
from pathlib import Path
from typing import Any

import torch

from gedi_nesy.data.files import read_bytes
from gedi_nesy.data.images import Images
from gedi_nesy.data.places import find

FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}


def load_cifar(name: str, data_dir: Path | None = None) -> Images:
    """CIFAR from torchvision's layout (PLACE/cifar-10-batches-py/, PLACE/cifar-100-python/), an .npz, or downloaded.

    Args:
        name: "cifar10" or "cifar100".
        data_dir: folder to look in first.

    Raises:
        DataUnavailable: it is nowhere, and could not be downloaded.
        UserError: a file of it is missing or corrupt.
    """
    dataset = _dataset(name)
    return find(name, data_dir, partial(_read, name, dataset), FOLDERS[name], partial(dataset, download=True))


def _dataset(name: str) -> Any:
    from torchvision import datasets  # slow to import

    return {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]


def _read(name: str, dataset: Any, place: Path) -> Images | None:
    folder = place / FOLDERS[name]
    if not folder.is_dir():
        return None
    for file, md5 in [*dataset.train_list, *dataset.test_list, (dataset.meta["filename"], dataset.meta["md5"])]:
        read_bytes(folder / file, md5)  # torchvision checks too, but does not say which file it was
    train, test = dataset(place, train=True), dataset(place, train=False)
    x_train, x_test = (torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous() for part in (train, test))
    y_train, y_test = (torch.tensor(part.targets) for part in (train, test))
    return Images(name, x_train, y_train, x_test, y_test, tuple(train.classes))
