"""Images from a NumPy .npz file: x_train, y_train, x_test, y_test and, if given, classes; or images alone."""

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.data.files import corrupt, read_bytes
from gedi_nesy.data.images import Images
from gedi_nesy.errors import UserError

FULL = {"mnist": 60_000, "cifar10": 50_000, "cifar100": 50_000, "svhn": 73_257}  # train images of the whole dataset
MOST_CLASSES = 1_000  # in a file with fewer images than that
ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path, name: str | None = None) -> Images:
    """Read images from an .npz file.

    Args:
        path: of a file with uint8 images [N, H, W], [N, H, W, C] or [N, C, H, W] (C is 1 or 3), or vectors of real
            numbers [N, D], in x_train and x_test, integer labels [N] in y_train and y_test, and the classes' names in
            classes ("0", "1", ... when left out).
        name: of the dataset, by default the file's. A known dataset with fewer train images than it should
            have gets their number added: "cifar100-25000".

    Raises:
        UserError: the file is corrupt, lacks an array, or an array has the wrong type or shape.
    """
    arrays = load_arrays(path)
    if missing := [key for key in ARRAYS if key not in arrays]:
        raise UserError(f"{path} has no {', '.join(missing)}: save them with numpy.savez(path, x_train=..., ...)")
    y_train, y_test = _labels(path, "y_train", arrays), _labels(path, "y_test", arrays)
    names = arrays["classes"] if "classes" in arrays else np.arange(_count_classes(path, y_train, y_test))
    name = name or path.stem
    if len(y_train) < FULL.get(name, 0):
        name = f"{name}-{len(y_train)}"
    x_train, x_test = _images(path, "x_train", arrays), _images(path, "x_test", arrays)
    return Images(name, x_train, y_train, x_test, y_test, tuple(str(c) for c in np.atleast_1d(names)))


def read_unlabelled_npz(path: Path) -> tuple[Tensor, Tensor]:
    """Train and test images of a file that has no labels, both uint8 [N, C, H, W].

    Args:
        path: of a file with images as `read_npz` has them in x_train, and if given in x_test; those of x_train are the
            test images too where it is left out.

    Raises:
        UserError: the file is corrupt, or an array has the wrong type or shape.
    """
    arrays = load_arrays(path)
    if "x_train" not in arrays:
        raise UserError(f"{path} has no x_train: save the images with numpy.savez(path, x_train=...)")
    x_train = _images(path, "x_train", arrays)
    x_test = _images(path, "x_test", arrays) if "x_test" in arrays else x_train
    if x_train.shape[1:] != x_test.shape[1:]:
        train, test = tuple(x_train.shape[1:]), tuple(x_test.shape[1:])
        raise UserError(f"{path}: images of x_train are {train} and of x_test {test}; give both one shape")
    return x_train, x_test


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file.

    Raises:
        UserError: the file is missing, corrupt, or has Python objects in it.
    """
    data = io.BytesIO(read_bytes(path))
    if not zipfile.is_zipfile(data):
        raise corrupt(path, "it is no .npz file, or cut short")
    try:
        with np.load(data, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            raise UserError(f"{path} holds Python objects: save arrays of numbers, and labels as integers") from error
        raise corrupt(path, str(error)) from error


def has_images(path: Path) -> bool:
    """Whether x_train of an .npz file is images, uint8 with three axes or four; only its header is read."""
    try:
        with zipfile.ZipFile(path) as file, file.open("x_train.npy") as array:
            version = np.lib.format.read_magic(array)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(array)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return False  # whoever reads it says what is wrong with it
    return bool(dtype == np.uint8 and len(shape) in (3, 4))


def lacks_labels(path: Path) -> bool:
    """Whether an .npz file has neither y_train nor y_test."""
    try:
        with zipfile.ZipFile(path) as file:
            return not {"y_train.npy", "y_test.npy"} & set(file.namelist())
    except (OSError, zipfile.BadZipFile):
        return False  # whoever reads it says what is wrong with it


def _count_classes(path: Path, *labels: Tensor) -> int:
    """One class for each integer up to the largest label."""
    largest = max((int(y.max()) for y in labels if len(y)), default=0)
    if largest >= max(MOST_CLASSES, sum(map(len, labels))):
        raise UserError(
            f"{path} has a label {largest}, which would make {largest + 1:,} classes: number them 0, 1, ..., as "
            "numpy.unique(labels, return_inverse=True)[1] does"
        )
    return largest + 1


def _images(path: Path, key: str, arrays: dict[str, np.ndarray]) -> Tensor:
    x = arrays[key]
    if x.dtype.kind == "f" and x.ndim == 2:
        return _vectors(path, key, x)
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        raise UserError(f"{path}: {key} is {x.dtype} {list(x.shape)}; save uint8 [N, H, W] or [N, H, W, C], 0 to 255")
    if x.ndim == 3:
        x = x[..., None]
    if x.shape[-1] in (1, 3):
        x = np.moveaxis(x, -1, 1)
    if x.shape[1] not in (1, 3):
        raise UserError(f"{path}: {key} is {list(x.shape)}; images need 1 or 3 channels, last or right after N")
    return torch.from_numpy(np.ascontiguousarray(x))


def _vectors(path: Path, key: str, x: np.ndarray) -> Tensor:
    vectors = torch.from_numpy(x.astype(np.float32))
    if not vectors.isfinite().all():
        raise UserError(f"{path}: {key} has values that are not finite numbers; remove their rows")
    return vectors


def _labels(path: Path, key: str, arrays: dict[str, np.ndarray]) -> Tensor:
    y = arrays[key]
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise UserError(
            f"{path}: {key} is {y.dtype} {list(y.shape)}; save the labels as integers 0, 1, ..., one an image"
        )
    return torch.from_numpy(y.astype(np.int64))
