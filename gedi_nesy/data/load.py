"""A data set by its name or path, and the default when none is named."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import Tensor

from gedi_nesy.data.cifar import load_cifar
from gedi_nesy.data.digits import load_digits
from gedi_nesy.data.image_folder import lacks_classes, read_image_folder, read_unlabelled_folder
from gedi_nesy.data.images import DataUnavailable, Images
from gedi_nesy.data.mnist import load_fashion_mnist, load_mnist
from gedi_nesy.data.notmnist import load_notmnist
from gedi_nesy.data.npz import image_shape, lacks_labels, read_npz, read_unlabelled_npz
from gedi_nesy.data.omniglot import load_omniglot
from gedi_nesy.data.operators import with_operators
from gedi_nesy.data.svhn import load_svhn
from gedi_nesy.data.toys import TOYS
from gedi_nesy.errors import UserError, did_you_mean

DATASETS: dict[str, Callable[[Path | None], Images]] = {
    "mnist": load_mnist,
    "fashion-mnist": load_fashion_mnist,
    "digits": lambda data_dir: load_digits(),
    "mnist+operators": lambda data_dir: with_operators(load_mnist(data_dir)),
    "digits+operators": lambda data_dir: with_operators(load_digits()),
    "cifar10": partial(load_cifar, "cifar10"),
    "cifar100": partial(load_cifar, "cifar100"),
    "svhn": load_svhn,
    "notmnist": load_notmnist,
    "omniglot": load_omniglot,
}
DRAWINGS = ("mnist", "fashion-mnist", "digits", "mnist+operators", "digits+operators", "notmnist")


def load_images(name: str, data_dir: Path | None = None) -> Images:
    """The dataset of that name, or the one in an .npz file or an image folder.

    Args:
        name: one of DATASETS, or the path of an .npz file or of a folder with train/CLASS/ and test/CLASS/.
        data_dir: where a named dataset is looked for first; then in $GEDI_NESY_DATA and the user's cache folder.

    Raises:
        DataUnavailable: the dataset is nowhere, and could not be downloaded.
        UserError: the name is unknown, or a file is corrupt or missing.
    """
    if name in DATASETS:
        return DATASETS[name](data_dir)
    path = Path(name).expanduser()
    if path.is_dir():
        return read_image_folder(path)
    if path.suffix == ".npz":
        return read_npz(path)
    hint = did_you_mean(name.lower(), DATASETS)
    raise UserError(f"no dataset {name!r}{hint}: take {', '.join(DATASETS)}, an .npz file or an image folder")


def load_pixels(name: str, data_dir: Path | None = None) -> tuple[Tensor, Tensor]:
    """Train and test images alone, uint8 [N, C, H, W], of a dataset with or without labels.

    Raises:
        DataUnavailable: the dataset is nowhere, and could not be downloaded.
        UserError: the name is unknown, a file is corrupt or missing, or images differ in size.
    """
    if has_labels(name):
        images = load_images(name, data_dir)
        return images.x_train, images.x_test
    path = Path(name).expanduser()
    return read_unlabelled_folder(path) if path.is_dir() else read_unlabelled_npz(path)


def has_labels(name: str) -> bool:
    """Whether the images of a dataset have labels; an .npz file or a folder can hold images alone."""
    if name in DATASETS:
        return True
    path = Path(name).expanduser()
    return not (lacks_classes(path) if path.is_dir() else lacks_labels(path))


def holds_images(name: str) -> bool:
    """Whether a data set's name, or the path of an .npz file or a folder, stands for images rather than points."""
    if name in TOYS:
        return False
    path = Path(name).expanduser()
    return name in DATASETS or path.is_dir() or (path.suffix == ".npz" and image_shape(path) is not None)


def holds_drawings(name: str) -> bool:
    """Whether a data set's name, or the path of an .npz file, stands for grey images of 28 x 28 pixels."""
    path = Path(name).expanduser()
    return name in DRAWINGS or (path.suffix == ".npz" and image_shape(path) == (1, 28, 28))


def default_images(data_dir: Path | None = None) -> tuple[Images, str | None]:
    """MNIST where it can be had, otherwise the bundled digits with a notice that the user must see.

    Raises:
        UserError: MNIST is there, but a file of it is corrupt or missing.
    """
    try:
        return load_mnist(data_dir), None
    except DataUnavailable as error:
        images = load_digits()
        notice = (
            f"NOT MNIST: this run uses scikit-learn's bundled digits instead, {len(images.x_train):,} train and "
            f"{len(images.x_test):,} test images of 8x8 pixels, enlarged. Its figures say nothing about MNIST. "
            f"The reason: {error}."
        )
        return images, notice
