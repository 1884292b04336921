"""MNIST: 60,000 train and 10,000 test images of handwritten digits, 28x28, grey (LeCun et al., 1998).

Fashion-MNIST has clothes in the same format (Xiao et al., 2017).
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from gedi_nesy.data.idx import read_idx
from gedi_nesy.data.images import Images
from gedi_nesy.data.places import find
from gedi_nesy.errors import UserError

# file: MD5 of the .gz, as in torchvision, and of its contents
FILES = {
    "train-images-idx3-ubyte": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": ("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": ("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": ("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
}
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def load_mnist(data_dir: Path | None = None) -> Images:
    """MNIST from torchvision's layout, PLACE/MNIST/raw/ with the four .gz files or their contents, or downloaded.

    Raises:
        DataUnavailable: it is nowhere, and could not be downloaded.
        UserError: one of the four files is missing or corrupt.
    """
    return find("mnist", data_dir, _read, "MNIST/raw/*.gz", fetch)


def fetch(root: str) -> None:
    """Download MNIST to root/MNIST/raw."""
    from torchvision.datasets import MNIST  # slow to import, and only a download needs it

    MNIST(root, download=True)


def load_fashion_mnist(data_dir: Path | None = None) -> Images:
    """Fashion-MNIST from torchvision's layout, PLACE/FashionMNIST/raw/ with the four .gz files or their contents.

    Other packages of these files, as Debian's dataset-fashion-mnist, have other MD5s than torchvision's; so none is
    checked.

    Raises:
        DataUnavailable: it is nowhere, and could not be downloaded.
        UserError: one of the four files is missing or corrupt.
    """
    return find("fashion-mnist", data_dir, _read_fashion, "FashionMNIST/raw/*.gz", _fetch_fashion)


def _fetch_fashion(root: str) -> None:
    from torchvision.datasets import FashionMNIST

    FashionMNIST(root, download=True)


def _read(place: Path) -> Images | None:
    return _read_layout(place / "MNIST" / "raw", "mnist", FILES, tuple("0123456789"))


def _read_fashion(place: Path) -> Images | None:
    return _read_layout(place / "FashionMNIST" / "raw", "fashion-mnist", dict.fromkeys(FILES, (None, None)), CLOTHES)


def _read_layout(
    raw: Path, dataset: str, files: Mapping[str, tuple[str | None, str | None]], classes: tuple[str, ...]
) -> Images | None:
    if not any(path.is_file() for name in files for path in (raw / f"{name}.gz", raw / name)):
        return None
    x_train, y_train, x_test, y_test = (_read_file(raw, name, sums) for name, sums in files.items())
    return Images(dataset, x_train.unsqueeze(1), y_train.long(), x_test.unsqueeze(1), y_test.long(), classes)


def _read_file(raw: Path, name: str, sums: tuple[str | None, str | None]) -> Tensor:
    for path, md5 in zip((raw / f"{name}.gz", raw / name), sums, strict=True):
        if path.is_file():
            return read_idx(path, md5)
    raise UserError(
        f"{raw} has a part of {raw.parent.name}, but {name}.gz is missing: put it there, or remove the others"
    )
