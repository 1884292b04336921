"""CIFAR and SVHN in torchvision's layout, from files of a few images made here."""

import hashlib
import pickle

import numpy as np
import pytest
import scipy.io
import torchvision.datasets

from gedi_nesy.data import load_images
from gedi_nesy.errors import UserError


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def cifar100(tmp_path, monkeypatch):
    """Two train images and one test image; returns the root."""
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    pixels = np.arange(3 * 3 * 32 * 32).astype(np.uint8).reshape(3, -1)
    contents = {
        "train": {"data": pixels[:2], "fine_labels": [1, 0]},
        "test": {"data": pixels[2:], "fine_labels": [1]},
        "meta": {"fine_label_names": ["apple", "bee"]},
    }
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
    dataset = torchvision.datasets.CIFAR100
    monkeypatch.setattr(dataset, "train_list", [["train", md5(folder / "train")]])
    monkeypatch.setattr(dataset, "test_list", [["test", md5(folder / "test")]])
    monkeypatch.setattr(dataset, "meta", dataset.meta | {"md5": md5(folder / "meta")})
    return tmp_path


def test_cifar(cifar100):
    images = load_images("cifar100", cifar100)
    assert images.name == "cifar100"
    assert images.classes == ("apple", "bee")
    assert images.y_train.tolist() == [1, 0]
    assert images.x_test.shape == (1, 3, 32, 32)
    # test image 2, blue, row 4, column 5, in a file that stores [image, channel, row, column]
    assert images.x_test[0, 2, 4, 5].item() == (2 * 3072 + 2 * 1024 + 4 * 32 + 5) % 256


def test_a_corrupt_cifar_file_is_named_before_it_is_unpickled(cifar100):
    (cifar100 / "cifar-100-python" / "test").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(UserError, match=r"cifar-100-python/test is corrupt"):
        load_images("cifar100", cifar100)


def test_svhn(tmp_path, monkeypatch):
    split_list = dict(torchvision.datasets.SVHN.split_list)
    pixels = np.arange(32 * 32 * 3 * 2).astype(np.uint8).reshape(32, 32, 3, 2)  # [row, column, channel, image]
    for split in ("train", "test"):
        path = tmp_path / f"{split}_32x32.mat"
        scipy.io.savemat(path, {"X": pixels, "y": np.array([[10], [3]])})
        split_list[split] = ["", path.name, md5(path)]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", split_list)
    images = load_images("svhn", tmp_path)
    assert images.y_train.tolist() == [0, 3]  # SVHN writes the digit 0 as 10
    assert images.x_test[1, 2, 4, 5].item() == ((4 * 32 + 5) * 3 + 2) * 2 % 256 + 1
    (tmp_path / "test_32x32.mat").unlink()
    with pytest.raises(UserError, match=r"test_32x32.mat is missing"):
        load_images("svhn", tmp_path)
