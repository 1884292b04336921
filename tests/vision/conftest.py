"""A small CIFAR-10 for tests: real images where they can be had, otherwise drawn ones in the same format."""

import io
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TRAIN, TEST = 192, 64


@pytest.fixture(scope="session")
def cifar(tmp_path_factory) -> Path:
    """A folder that holds cifar10.npz, with 192 train and 64 test images."""
    x, y = _real_images() or _drawn_images()
    folder = tmp_path_factory.mktemp("data")
    parts = {"x_train": x[:TRAIN], "y_train": y[:TRAIN], "x_test": x[TRAIN:], "y_test": y[TRAIN:]}
    np.savez(folder / "cifar10.npz", **parts, classes=np.array([f"class {k}" for k in range(10)]))
    return folder


def _real_images():
    """CIFAR-10's from $GEDI_NESY_DATA, as cifar10.npz or as mosaics of 64 images, or None."""
    place = Path(os.environ.get("GEDI_NESY_DATA", "."))
    if (place / "cifar10.npz").is_file():
        with np.load(place / "cifar10.npz") as file:
            return file["x_test"][: TRAIN + TEST], file["y_test"][: TRAIN + TEST]
    if not (place / "cifar10-test.npz").is_file():
        return None
    with np.load(place / "cifar10-test.npz") as file:
        data, offsets, labels, side = file["tiles"].tobytes(), file["offsets"], file["labels"], int(file["side"])
    mosaics = [Image.open(io.BytesIO(data[a:b])).convert("RGB") for a, b in pairwise(offsets[:5])]
    grids = np.stack([np.asarray(mosaic) for mosaic in mosaics]).reshape(-1, side, 32, side, 32, 3)
    return grids.swapaxes(2, 3).reshape(-1, 32, 32, 3)[: TRAIN + TEST], labels[: TRAIN + TEST]


def _drawn_images():
    """Discs of the class's colour on noise."""
    rng = np.random.default_rng(0)
    y = rng.permutation(TRAIN + TEST) % 10
    rows, columns = np.mgrid[:32, :32]
    centre = rng.uniform(10, 22, (2, TRAIN + TEST, 1, 1))
    disc = np.hypot(rows - centre[0], columns - centre[1]) < 9
    colours = rng.integers(0, 256, (10, 3))
    x = rng.integers(0, 256, (TRAIN + TEST, 32, 32, 3)) // 2
    return np.where(disc[..., None], colours[y][:, None, None], x).astype(np.uint8), y
