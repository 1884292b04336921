"""An image data set in memory: all its images and labels, as tensors on one device."""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from gedi_nesy.errors import UserError

CHUNK = 1000  # images that are resized at a time
GREY = (0.299, 0.587, 0.114)  # red, green and blue in a grey level, as in PIL (ITU-R 601)


class DataUnavailable(UserError):
    """A data set is in none of the places where it is looked for, and could not be downloaded."""


@dataclass(frozen=True, eq=False)
class Images:
    """Train and test images with their labels, or feature vectors in their place; shapes are the same in both.

    Labels are only used to draw examples that satisfy a rule, and to score. A dataset that serves for
    out-of-distribution tests only has N = 0 train images.

    Raises:
        UserError: a tensor has the wrong type or shape, or a label is outside the classes.
    """

    name: str  # goes into summary.json; "cifar100-25000" when only so many train images are there
    x_train: Tensor  # uint8 [N, C, H, W], or vectors: float32 [N, D]
    y_train: Tensor  # int64 [N]
    x_test: Tensor  # uint8 [M, C, H, W], or float32 [M, D]
    y_test: Tensor  # int64 [M]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_split(self.name, "train", self.x_train, self.y_train, len(self.classes))
        _check_split(self.name, "test", self.x_test, self.y_test, len(self.classes))
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            train, test = tuple(self.x_train.shape[1:]), tuple(self.x_test.shape[1:])
            raise UserError(f"{self.name}: train images are {train} and test images {test}; give both one shape")

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.x_test.shape[1:]))
        train, test, classes = len(self.x_train), len(self.x_test), len(self.classes)
        return f"Images({self.name}: {train:,} train, {test:,} test, {shape}, {classes} classes)"

    def at(self, size: tuple[int, int] | None, channels: int | None) -> "Images":
        """The same images resized to (height, width), and grey, 1, or in colour, 3; None leaves either as it is.

        Raises:
            UserError: these are vectors.
        """
        if not size and not channels:
            return self
        if self.x_train.ndim != 4:
            raise UserError(f"{self.name} holds vectors, which have no size or colour; leave out --size and --channels")
        change = partial(_change, size=size, channels=channels)
        return replace(self, x_train=change(self.x_train), x_test=change(self.x_test))

    def to(self, device: torch.device | str) -> "Images":
        """The same images with every tensor on `device`."""
        names = ("x_train", "y_train", "x_test", "y_test")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


def _change(x: Tensor, size: tuple[int, int] | None, channels: int | None) -> Tensor:
    """Images, uint8 [n, C, H, W], at another size or with other channels."""
    return torch.cat([_change_few(some, size, channels) for some in x.split(CHUNK)])


def _change_few(x: Tensor, size: tuple[int, int] | None, channels: int | None) -> Tensor:
    if channels and channels != x.shape[1]:
        x = x.expand(-1, 3, -1, -1) if channels == 3 else _grey(x)
    if size and tuple(x.shape[2:]) != size:
        x = F.interpolate(x.float(), size, mode="bilinear", antialias=True).round().clamp(0, 255).byte()
    return x


def _grey(x: Tensor) -> Tensor:
    """Colour images, uint8 [n, 3, H, W], as grey ones, [n, 1, H, W]."""
    return torch.tensordot(x.float(), torch.tensor(GREY), ([1], [0])).unsqueeze(1).round().byte()


def _check_split(name: str, split: str, x: Tensor, y: Tensor, classes: int) -> None:
    if (x.dtype, x.ndim) not in ((torch.uint8, 4), (torch.float32, 2)):
        kind = f"{x.dtype} {list(x.shape)}".removeprefix("torch.")
        wanted = "uint8 [N, C, H, W] with values 0 to 255, or vectors as float32 [N, D]"
        raise UserError(f"{name}: {split} images are {kind}; give {wanted}")
    if y.dtype != torch.int64 or y.shape != x.shape[:1]:
        kind = f"{y.dtype} {list(y.shape)}".removeprefix("torch.")
        raise UserError(f"{name}: {split} labels are {kind}; give one integer for each of the {len(x)} images")
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise UserError(
            f"{name}: {split} labels run from {int(y.min())} to {int(y.max())}, but there are {classes} classes; "
            f"number them 0 to {classes - 1}"
        )
