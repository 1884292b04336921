"""Points, the data of the vision track: rows of numbers or images, with or without labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.data.load import DATASETS, has_labels, holds_images, load_images, load_pixels
from gedi_nesy.data.npz import load_arrays
from gedi_nesy.data.toys import TOYS, load_toy
from gedi_nesy.errors import UserError

TOY_POINTS = 1000
TEST_POINTS = 1000
ROUNDING = 1e-3  # share of a column's range that float32 may cost
TEST_SEED = 2**30  # other than every seed of a training set


@dataclass(frozen=True, eq=False)
class Points:
    """Train and test points; labels are used to score only, and may be missing."""

    name: str
    x_train: Tensor  # float32 [n, d], or images uint8 [n, C, H, W]
    x_test: Tensor  # [m, ...], in the same form
    y_train: Tensor | None = None  # int64 [n]
    y_test: Tensor | None = None  # int64 [m]

    def __repr__(self) -> str:
        kind = "images" if self.are_images else "points"
        shape, train, test = tuple(self.x_train.shape[1:]), len(self.x_train), len(self.x_test)
        return f"Points({self.name}: {train:,} train and {test:,} test {kind} of shape {shape})"

    @property
    def classes(self) -> int | None:
        """How many different labels there are, or None without labels."""
        labels = [y for y in (self.y_train, self.y_test) if y is not None]
        return len(torch.cat(labels).unique()) if labels else None

    @property
    def are_images(self) -> bool:
        """Whether each is an image."""
        return self.x_train.dim() == 4

    @property
    def in_plane(self) -> bool:
        """Whether each is a point in the plane."""
        return self.x_train.dim() == 2 and self.x_train.shape[1] == 2


def load_points(name: str, n: int | None, seed: int, noise: float, data_dir: Path | None = None) -> Points:
    """A toy data set, images, or the user's own table.

    Args:
        name: one of TOYS or of DATASETS, the path of an image folder or of an .npz file: images, or a table x_train
            [n, d] and, if given, x_test, y_train and y_test. Without x_test the training points are scored.
        n: training points of a toy data set, TOY_POINTS by default, which has TEST_POINTS test points of the same
            distribution; of images and tables, how many are drawn for training where there are more, by default all.
        seed: of the draw.
        noise: standard deviation of a toy's noise.
        data_dir: where images are looked for first.

    Raises:
        UserError: for an unknown name, or a file without usable points.
    """
    if name in TOYS:
        return _toy(name, TOY_POINTS if n is None else n, seed, noise)
    if holds_images(name):
        return _images(name, n, seed, data_dir)
    path = Path(name).expanduser()
    if path.suffix != ".npz":
        known = ", ".join([*TOYS, *DATASETS])
        raise UserError(f"There is no data set {name!r}; take {known}, an .npz file or an image folder.")
    arrays = load_arrays(path)
    if "x_train" not in arrays:
        raise UserError(f"{path} has no x_train; save the points with numpy.savez(path, x_train=...).")
    x = _points(path, "x_train", arrays["x_train"])
    exact = arrays["x_train"].astype(np.float64)
    if (np.ptp(exact - x.numpy(), 0) > ROUNDING * np.ptp(exact, 0)).any():
        raise UserError(
            f"{path}: x_train has a column too far from 0 for float32 to tell its values; subtract its mean."
        )
    y = _labels(path, "y_train", arrays, len(x))
    if "x_test" not in arrays:
        x, y = _draw(x, _numbered(y)[0], n, seed)
        return Points(path.stem, x, x, y, y)
    x_test = _points(path, "x_test", arrays["x_test"])
    if x_test.shape[1] != x.shape[1]:
        raise UserError(f"{path}: x_train has {x.shape[1]} columns and x_test {x_test.shape[1]}; give both the same.")
    y, y_test = _numbered(y, _labels(path, "y_test", arrays, len(x_test)))
    x, y = _draw(x, y, n, seed)
    return Points(path.stem, x, x_test, y, y_test)


def _numbered(*labels: Tensor | None) -> list[Tensor | None]:
    """Labels as they are, or, where they are ids such as 10**9, numbered from 0."""
    given = [y for y in labels if y is not None]
    every = torch.cat(given) if given else torch.zeros(1)
    if every.min() >= 0 and every.max() < max(len(every), 1000):
        return list(labels)
    numbers = iter(every.unique(return_inverse=True)[1].split([len(y) for y in given]))
    return [None if y is None else next(numbers) for y in labels]


def _toy(name: str, n: int, seed: int, noise: float) -> Points:
    x_train, y_train = load_toy(name, n, seed, noise)
    x_test, y_test = load_toy(name, TEST_POINTS, TEST_SEED + seed, noise)
    return Points(name, x_train, x_test, y_train, y_test)


def _images(name: str, n: int | None, seed: int, data_dir: Path | None) -> Points:
    if not has_labels(name):
        x_train, x_test = load_pixels(name)
        return Points(_name_of(name), _draw(x_train, None, n, seed)[0], x_test)
    images = load_images(name, data_dir)
    x, y = _draw(images.x_train, images.y_train, n, seed)
    return Points(images.name, x, images.x_test, y, images.y_test)


def _name_of(path: str) -> str:
    """The name of a folder, or of a file without its ending."""
    whole = Path(path).expanduser().resolve()
    return whole.name if whole.is_dir() else whole.stem


def _draw(x: Tensor, y: Tensor | None, n: int | None, seed: int) -> tuple[Tensor, Tensor | None]:
    """n of the points, drawn at random, or all where there are no more."""
    if n is None or n >= len(x):
        return x, y
    drawn = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:n]
    return x[drawn], None if y is None else y[drawn]


def _points(path: Path, key: str, x: np.ndarray) -> Tensor:
    if x.ndim in (3, 4):
        raise UserError(
            f"{path}: {key} is {x.dtype} {list(x.shape)}; if these are images, save them as uint8, 0 to 255."
        )
    if x.ndim != 2 or x.dtype.kind not in "iuf" or len(x) < 2 or not x.shape[1]:
        raise UserError(
            f"{path}: {key} is {x.dtype} {list(x.shape)}; give real numbers [points, columns], two points or more."
        )
    points = torch.from_numpy(x.astype(np.float32))
    if not points.isfinite().all():
        raise UserError(f"{path}: {key} has values that are not finite numbers; remove their rows.")
    return points


def _labels(path: Path, key: str, arrays: dict[str, np.ndarray], n: int) -> Tensor | None:
    if key not in arrays:
        return None
    y = arrays[key]
    if y.shape != (n,) or not np.issubdtype(y.dtype, np.integer):
        raise UserError(f"{path}: {key} is {y.dtype} {list(y.shape)}; give one integer for each of the {n} points.")
    return torch.from_numpy(y.astype(np.int64))
