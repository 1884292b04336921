"""notMNIST: 10,000 letters A to J in many fonts, 28x28, in MNIST's format (Bulatov, 2011); foreign to MNIST."""

from pathlib import Path

import torch

from gedi_nesy.data.idx import read_idx
from gedi_nesy.data.images import Images
from gedi_nesy.data.places import find


def load_notmnist(data_dir: Path | None = None) -> Images:
    """notMNIST's test images from PLACE/notMNIST/t10k-*.gz; no train images.

    Raises:
        DataUnavailable: it is nowhere.
        UserError: a file of it is missing or corrupt.
    """
    return find("notmnist", data_dir, _read, "notMNIST/t10k-*.gz")


def _read(place: Path) -> Images | None:
    folder = place / "notMNIST"
    if not folder.is_dir():
        return None
    x = read_idx(folder / "t10k-images-idx3-ubyte.gz").unsqueeze(1)
    y = read_idx(folder / "t10k-labels-idx1-ubyte.gz").long()
    none = torch.empty(0, dtype=torch.int64)
    return Images("notmnist", x[:0], none, x, y, tuple("ABCDEFGHIJ"))
