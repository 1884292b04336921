"""Images from a NumPy .npz file: x_train, y_train, x_test, y_test and, if given, classes; or images alone."""

import math
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.data.files import corrupt, open_zip
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
    names = _classes(path, arrays, _count_classes(path, y_train, y_test))
    name = name or path.stem
    if len(y_train) < FULL.get(name, 0):
        name = f"{name}-{len(y_train)}"
    x_train, x_test = _images(path, "x_train", arrays), _images(path, "x_test", arrays)
    return Images(name, x_train, y_train, x_test, y_test, names)


def read_unlabelled_npz(path: Path) -> tuple[Tensor, Tensor]:
    """Train and test images of a file that has no labels, both uint8 [N, C, H, W].

    Args:
        path: of a file with images as `read_npz` has them in x_train, and if given in x_test; without x_test the images
            of x_train are also the test images.

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
    """All arrays of an .npz file; none is read before all sizes are known to fit.

    Raises:
        UserError: the file is missing, corrupt, unzips to more than the memory may hold, or has Python objects in it.
    """
    with open_zip(path) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        for member in members:
            _check_size(path, archive, member)
        return {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members}


def image_shape(path: Path) -> tuple[int, int, int] | None:
    """(C, H, W) where x_train of an .npz file is images, uint8 with three axes or four; only its header is read."""
    with suppress(UserError), open_zip(path) as archive, archive.open("x_train.npy") as file:
        shape, dtype = _read_header(file)
        if dtype == np.uint8 and len(shape) in (3, 4):
            _, height, width, channels = (*shape, 1)[:4]
            return channels, height, width
    return None  # whoever reads it says what is wrong with it


def lacks_labels(path: Path) -> bool:
    """Whether an .npz file has neither y_train nor y_test."""
    with suppress(UserError), open_zip(path) as archive:
        return not {"y_train.npy", "y_test.npy"} & set(archive.namelist())
    return False  # whoever reads it says what is wrong with it


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _check_size(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """UserError unless a member has as many bytes as its header promises: NumPy allocates what the header says."""
    with archive.open(member) as file:
        shape, dtype = _read_header(file)
        rest = member.file_size - file.tell()
    if dtype.hasobject:
        raise UserError(f"{path} holds Python objects: save arrays of numbers, and labels as integers")
    if dtype.itemsize == 0 or rest != (promised := math.prod(shape) * dtype.itemsize):
        what = "items of no size" if dtype.itemsize == 0 else f"{rest:,} bytes where its header promises {promised:,}"
        raise corrupt(path, f"{member.filename} has {what}")


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the type of a .npy file's array."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _count_classes(path: Path, *labels: Tensor) -> int:
    """One class for each integer up to the largest label."""
    largest = max((int(y.max()) for y in labels if len(y)), default=0)
    if largest >= max(MOST_CLASSES, sum(map(len, labels))):
        raise UserError(
            f"{path} has a label {largest}, which would make {largest + 1:,} classes: number them 0, 1, ..., as "
            "numpy.unique(labels, return_inverse=True)[1] does"
        )
    return largest + 1


def _classes(path: Path, arrays: dict[str, np.ndarray], count: int) -> tuple[str, ...]:
    """The classes' names; by default their numbers."""
    if "classes" not in arrays:
        return tuple(map(str, range(count)))
    names = np.atleast_1d(arrays["classes"])
    if names.ndim > 1 or len(names) > max(MOST_CLASSES, count):
        raise UserError(f"{path}: classes is {names.dtype} {list(names.shape)}; save one name for each class")
    return tuple(map(str, names))


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
