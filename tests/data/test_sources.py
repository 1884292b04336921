"""Each source of images, read from small files made here; real MNIST where GEDI_NESY_DATA has it."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gedi_nesy.data import DATASETS, DataUnavailable, default_images, load_images, mnist
from gedi_nesy.data.idx import read_idx
from gedi_nesy.data.load import load_pixels
from gedi_nesy.data.points import load_points
from gedi_nesy.errors import UserError

MNIST_HERE = (Path(os.environ.get("GEDI_NESY_DATA") or ".") / "MNIST" / "raw" / "train-images-idx3-ubyte.gz").is_file()


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A machine with an empty cache folder, no GEDI_NESY_DATA, and a download that fails at once."""

    def dead(root):
        raise OSError("no route to host")

    monkeypatch.delenv("GEDI_NESY_DATA", raising=False)
    monkeypatch.setattr("gedi_nesy.data.places.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(mnist, "fetch", dead)
    return tmp_path


@pytest.fixture
def tiny_mnist(alone, monkeypatch):
    """MNIST's four files in torchvision's layout, with 3 train and 2 test images; returns their root."""
    arrays = [
        np.arange(3 * 28 * 28).astype(np.uint8).reshape(3, 28, 28),
        np.array([7, 0, 9], np.uint8),
        np.full((2, 28, 28), 5, np.uint8),
        np.array([1, 2], np.uint8),
    ]
    raw = alone / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    files = {}
    for name, array in zip(mnist.FILES, arrays, strict=True):
        plain = idx(array)
        packed = gzip.compress(plain, mtime=0)
        (raw / f"{name}.gz").write_bytes(packed)
        files[name] = (md5(packed), md5(plain))
    monkeypatch.setattr(mnist, "FILES", files)
    return alone / "data"


def test_mnist_from_the_gz_files_of_a_read_only_folder(tiny_mnist):
    for folder in (tiny_mnist / "MNIST" / "raw", tiny_mnist / "MNIST", tiny_mnist):
        folder.chmod(0o555)
    images = load_images("mnist", tiny_mnist)
    assert images.name == "mnist"
    assert images.x_train.shape == (3, 1, 28, 28)
    assert images.x_train[1, 0, 0, :3].tolist() == [784 % 256, 785 % 256, 786 % 256]
    assert images.y_train.tolist() == [7, 0, 9]
    assert images.y_test.tolist() == [1, 2]
    assert images.classes == tuple("0123456789")


def test_mnist_from_plain_files_and_by_environment(tiny_mnist, monkeypatch):
    for packed in (tiny_mnist / "MNIST" / "raw").glob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    monkeypatch.setenv("GEDI_NESY_DATA", str(tiny_mnist))
    images, notice = default_images()
    assert images.y_train.tolist() == [7, 0, 9]
    assert notice is None


def test_fashion_mnist_in_torchvisions_layout_whoever_packed_it(tiny_mnist):
    (tiny_mnist / "MNIST").rename(tiny_mnist / "FashionMNIST")
    labels = tiny_mnist / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(gzip.decompress(labels.read_bytes()), 1, mtime=1))
    images = load_images("fashion-mnist", tiny_mnist)
    assert (images.name, images.classes[7], len(images.classes)) == ("fashion-mnist", "sneaker", 10)
    assert (images.x_train.shape, images.y_train.tolist()) == ((3, 1, 28, 28), [7, 0, 9])
    labels.unlink()
    with pytest.raises(UserError, match="part of FashionMNIST, but train-labels"):
        load_images("fashion-mnist", tiny_mnist)


@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_mnist_is_an_error_that_names_the_file_and_never_falls_back(tiny_mnist, damage):
    path = tiny_mnist / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[:-20])
    elif damage == "flip":
        data[60] ^= 1
        path.write_bytes(data)
    else:
        path.unlink()
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte.*(corrupt|missing).*(delete|put)") as caught:
        default_images(tiny_mnist)
    assert not isinstance(caught.value, DataUnavailable)


def test_without_mnist_the_digits_come_with_a_notice(alone):
    images, notice = default_images()
    assert images.name == "digits"
    assert notice is not None
    assert all(word in notice for word in ("NOT MNIST", "no route to host", "--data-dir", "GEDI_NESY_DATA"))


def test_mnists_hashes_are_torchvisions():
    from torchvision.datasets import MNIST

    assert {f"{name}.gz": packed for name, (packed, _) in mnist.FILES.items()} == dict(MNIST.resources)


@pytest.mark.skipif(not MNIST_HERE, reason="GEDI_NESY_DATA has no MNIST")
def test_real_mnist():
    images = load_images("mnist")
    assert images.x_train.shape == (60_000, 1, 28, 28)
    assert images.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # as in every tutorial
    assert images.y_test.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert images.x_train.float().mean().item() / 255 == pytest.approx(0.1307, abs=5e-5)  # the mean usually quoted


@pytest.mark.parametrize(
    "data",
    [b"", b"junk", idx(np.zeros((2, 3), np.uint8))[:-1], bytes([0, 0, 13, 1]) + bytes(8), bytes([0, 0, 8, 200])],
    ids=["empty", "junk", "cut", "floats", "no sizes"],
)
def test_what_is_no_idx_file_is_refused(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    (tmp_path / "x.gz").write_bytes(gzip.compress(data)[:-1])
    for name in ("x", "x.gz"):
        with pytest.raises(UserError, match=rf"{name} is corrupt"):
            read_idx(tmp_path / name)


def test_a_small_idx_file_that_unzips_to_gigabytes_is_refused(tmp_path):
    one = gzip.compress(bytes(2**24), 1)
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx(np.zeros((2, 3), np.uint8))) + one * 64)
    with pytest.raises(UserError, match=r"x.gz is corrupt \(unzipped it has more than 1 GB"):
        read_idx(tmp_path / "x.gz")


def test_digits_are_always_split_alike_and_lie_in_mnists_box():
    images = load_images("digits")
    assert len(images.y_train) == 1397
    assert images.y_test[:6].tolist() == [7, 4, 3, 8, 1, 9]
    assert images.y_test.bincount().tolist() == [40, 40, 39, 41, 40, 41, 40, 40, 39, 40]  # stratified
    everything = torch.cat([images.x_train, images.x_test])
    assert everything.max() == 255
    box = torch.zeros(28, 28, dtype=torch.bool)
    box[4:24, 4:24] = True
    assert everything[..., ~box].max() == 0
    mean = everything.float().sum().item() / 255 / 1797 / 400  # over the box
    assert mean == pytest.approx(4.884 / 16, abs=1e-3)  # enlarging keeps the mean brightness of the 8x8 pixels


def test_npz_in_any_layout_of_the_axes(tmp_path):
    x = np.arange(2 * 4 * 5 * 3).astype(np.uint8).reshape(2, 4, 5, 3)  # [N, H, W, C]
    y = np.array([1, 0], np.uint8)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x.transpose(0, 3, 1, 2), y_test=y, classes=["a", "b"])
    images = load_images(str(tmp_path / "mine.npz"))
    assert images.name == "mine"
    assert images.classes == ("a", "b")
    assert images.x_train[1, 2, 3, 4].item() == x[1, 3, 4, 2]
    assert torch.equal(images.x_train, images.x_test)
    np.savez(tmp_path / "grey.npz", x_train=x[..., 0], y_train=y, x_test=x[..., :1], y_test=y)
    grey = load_images(str(tmp_path / "grey.npz"))
    assert torch.equal(grey.x_train, images.x_train[:, :1])
    assert torch.equal(grey.x_test, grey.x_train)
    assert grey.classes == ("0", "1")


def test_a_named_dataset_from_an_npz_says_when_it_is_partial(tmp_path):
    x, y = np.zeros((4, 32, 32, 3), np.uint8), np.arange(4)
    np.savez(tmp_path / "cifar100.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    assert load_images("cifar100", tmp_path).name == "cifar100-4"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y_test": None}, "has no y_test"),
        ({"x_train": np.zeros((2, 4, 4))}, r"x_train is float64 \[2, 4, 4\]; save uint8"),
        ({"y_train": np.array([0.5, 1])}, r"y_train is float64 \[2\]; save the labels as integers"),
        ({"y_train": np.array(1)}, r"y_train is int64 \[\]; save the labels as integers"),
        ({"y_train": np.array([0, 1, 1])}, "train labels are int64 .3.; give one integer for each of the 2 images"),
        ({"y_train": np.array([0, -1])}, "train labels run from -1 to 0"),
        ({"y_train": np.array([0, 10**9])}, "has a label 1000000000, which would make 1,000,000,001 classes: number"),
        ({"classes": np.array(["a"])}, "test labels run from 0 to 1, but there are 1 classes"),
        ({"classes": np.array([["a"], ["b"]])}, r"classes is <U1 \[2, 1\]; save one name for each class"),
        ({"classes": np.array([{}])}, "holds Python objects: save arrays of numbers"),
        ({"x_test": np.zeros((2, 5, 5), np.uint8)}, r"train images are \(1, 4, 4\) and test images \(1, 5, 5\)"),
    ],
)
def test_a_wrong_npz_is_refused_in_one_sentence(tmp_path, change, says):
    x, y = np.zeros((2, 4, 4), np.uint8), np.array([0, 1])
    arrays = {"x_train": x, "y_train": np.array([0, 0]), "x_test": x, "y_test": y} | change
    np.savez(tmp_path / "mine.npz", **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(UserError, match=says):
        load_images(str(tmp_path / "mine.npz"))


def npy(header):
    """A .npy file that ends after its header."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


BYTES = {"descr": "|u1", "fortran_order": False}


@pytest.mark.parametrize(
    ("member", "says"),
    [
        (npy(BYTES | {"shape": (10**9, 28, 28)}) + b"00", "2 bytes where its header promises 784,000,000,000"),
        (npy(BYTES | {"shape": (10**15,), "descr": "|S0"}), "x_train.npy has items of no size"),
        (npy(BYTES | {"shape": (2**20,), "descr": "|O"}) + pickle.dumps(print), "holds Python objects"),
        (b"no array", "is corrupt"),
        (npy(BYTES | {"shape": (2,)})[:20], "is corrupt"),
    ],
)
def test_an_array_is_what_its_header_says(tmp_path, member, says):
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        archive.writestr("x_train.npy", member)
    for read in (load_images, load_pixels, lambda path: load_points(path, None, 0, 0.0)):
        with pytest.raises(UserError, match=says):
            read(str(tmp_path / "mine.npz"))


def test_an_archive_that_unzips_to_more_than_the_memory_is_refused_before_an_array_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("gedi_nesy.data.files.MOST", 10_000)
    zeros = np.zeros(1_000_000, np.uint8)  # a thousandth of it when zipped
    np.savez_compressed(tmp_path / "bomb.npz", x_train=zeros)
    (tmp_path / "omniglot").mkdir()
    with zipfile.ZipFile(tmp_path / "omniglot" / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b/c/1.png", zeros.tobytes())
    for name in (str(tmp_path / "bomb.npz"), "omniglot"):
        with pytest.raises(UserError, match=r"bomb.* is corrupt \(unzipped it has more than"):
            load_images(name, tmp_path)
    np.savez(tmp_path / "large.npz", x_train=zeros.reshape(-1, 10, 10))  # as large on the disk: what the user has
    assert len(load_pixels(str(tmp_path / "large.npz"))[0]) == 10_000


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_npz_is_refused_however_it_was_compressed(tmp_path, compression):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("x_train.npy", npy(BYTES | {"shape": (900,)}) + bytes(range(225)) * 4)
    data = bytearray(file.getvalue())
    for place in range(45, 200, 7):
        data[place] ^= 0x55
    (tmp_path / "mine.npz").write_bytes(data)
    with pytest.raises(UserError, match=r"mine.npz is corrupt"):
        load_pixels(str(tmp_path / "mine.npz"))


def test_a_file_that_never_ends_is_no_npz(tmp_path):
    os.mkfifo(tmp_path / "mine.npz")
    with pytest.raises(UserError, match="it is a FIFO or a device"):
        load_pixels(str(tmp_path / "mine.npz"))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and then nothing"])
def test_a_corrupt_npz_is_refused(tmp_path, data):
    (tmp_path / "mine.npz").write_bytes(data)
    with pytest.raises(UserError, match=r"mine.npz is corrupt"):
        load_images(str(tmp_path / "mine.npz"))
    with pytest.raises(UserError, match=r"nowhere.npz can't be read \(No such file"):
        load_images(str(tmp_path / "nowhere.npz"))


def picture(path: Path, value: int, mode: str = "L", size: tuple[int, int] = (6, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def test_image_folder_numbers_its_classes_by_value(tmp_path):
    for split, base in (("train", 0), ("test", 100)):
        for number in (2, 10):
            picture(tmp_path / split / str(number) / "a.png", base + number)
    images = load_images(str(tmp_path))
    assert images.classes == ("2", "10")  # by name "10" would come first
    assert images.x_train.shape == (2, 1, 4, 6)
    assert images.x_train[:, 0, 0, 0].tolist() == [2, 10]
    assert images.x_test[:, 0, 0, 0].tolist() == [102, 110]
    assert images.y_train.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (("train/a/2.png", 1, "L", (7, 4)), r"2.png is \(1, 4, 7\) .* where .*1.png is \(1, 4, 6\)"),
        (("test/a/2.png", 1, "RGB", (6, 4)), r"2.png is \(3, 4, 6\)"),
        (("train/a/2.jpg", 1, "CMYK", (6, 4)), "kind CMYK: save it as an 8-bit"),
        (("train/b/1.png", 1, "L", (6, 4)), "class b is in only one of train and test"),
    ],
)
def test_a_wrong_image_folder_is_refused(tmp_path, extra, says):
    picture(tmp_path / "train" / "a" / "1.png", 1)
    picture(tmp_path / "test" / "a" / "1.png", 1)
    name, *how = extra
    picture(tmp_path / name, *how)
    with pytest.raises(UserError, match=says):
        load_images(str(tmp_path))


def test_a_corrupt_picture_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no train/CLASS/ folders"):
        load_images(str(tmp_path))
    for split in ("train", "test"):
        (tmp_path / split / "a").mkdir(parents=True)
    with pytest.raises(UserError, match=r"train/a has no .png"):
        load_images(str(tmp_path))
    for split in ("train", "test"):
        (tmp_path / split / "a" / "1.png").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"1.png is not an image that can be read"):
        load_images(str(tmp_path))


def test_images_come_without_labels_from_a_file(tmp_path):
    x = np.arange(3 * 4 * 6).astype(np.uint8).reshape(3, 4, 6)
    np.savez(tmp_path / "own.npz", x_train=x, x_test=x[:1])
    x_train, x_test = load_pixels(str(tmp_path / "own.npz"))
    assert (x_train.shape, x_test.shape) == ((3, 1, 4, 6), (1, 1, 4, 6))
    points = load_points(str(tmp_path / "own.npz"), 2, 0, 0.0)
    assert (points.name, len(points.x_train), points.classes, points.are_images) == ("own", 2, None, True)
    np.savez(tmp_path / "own.npz", x_train=x)
    assert torch.equal(*load_pixels(str(tmp_path / "own.npz")))
    with pytest.raises(UserError, match="has no y_train, x_test, y_test"):
        load_images(str(tmp_path / "own.npz"))  # whoever needs labels says so
    np.savez(tmp_path / "own.npz", x_train=x, y_train=[0, 1, 0])  # half of them were forgotten
    with pytest.raises(UserError, match="has no x_test, y_test"):
        load_points(str(tmp_path / "own.npz"), None, 0, 0.0)
    np.savez(tmp_path / "own.npz", x_train=x, x_test=x[:, :3])
    with pytest.raises(UserError, match=r"x_train are \(1, 4, 6\) and of x_test \(1, 3, 6\)"):
        load_points(str(tmp_path / "own.npz"), None, 0, 0.0)


@pytest.mark.parametrize("where", ["", "train/"])
def test_images_come_without_labels_from_a_folder(where, tmp_path):
    for value in (3, 1, 2):
        picture(tmp_path / f"{where}{value}.png", value)
    x_train, x_test = load_pixels(str(tmp_path))
    assert x_train[:, 0, 0, 0].tolist() == x_test[:, 0, 0, 0].tolist() == [1, 2, 3]
    picture(tmp_path / "test" / "9.png", 9)
    assert load_pixels(str(tmp_path))[1][:, 0, 0, 0].tolist() == [9]
    assert load_points(str(tmp_path), None, 0, 0.0).y_test is None
    picture(tmp_path / "test" / "8.png", 8, size=(5, 5))
    with pytest.raises(UserError, match=r"8.png is \(1, 5, 5\)"):
        load_pixels(str(tmp_path))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["preview.png", "cat/1.png", "dog/2.png"], "has images and the folder cat beside them"),
        (["1.png", "test/cat/1.png"], "test has no .png or .jpg images of its own"),
        (["train/1.png", "test/cat/1.png"], "test has no .png or .jpg images of its own"),
    ],
)
def test_a_folder_whose_classes_are_half_there_is_refused(files, says, tmp_path):
    for name in files:
        picture(tmp_path / name, 1)
    with pytest.raises(UserError, match=says):
        load_pixels(str(tmp_path))


@pytest.mark.parametrize("extra", ["preview.png", "train/preview.png"])
@pytest.mark.filterwarnings("ignore:.*preview.png is not read")
def test_a_stray_picture_does_not_take_the_classes_away(extra, tmp_path):
    for name in ("train/cat/1.png", "test/cat/1.png", extra):
        picture(tmp_path / name, 1)
    assert load_points(str(tmp_path), None, 0, 0.0).classes == 1


def test_notmnist_and_omniglot_are_test_images_only(tmp_path):
    letters = np.arange(2 * 28 * 28).astype(np.uint8).reshape(2, 28, 28)
    (tmp_path / "notMNIST").mkdir()
    (tmp_path / "notMNIST" / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(letters)))
    (tmp_path / "notMNIST" / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([9, 0], np.uint8))))
    foreign = load_images("notmnist", tmp_path)
    assert torch.equal(foreign.x_test[:, 0], torch.from_numpy(letters))
    assert foreign.y_test.tolist() == [9, 0]
    assert len(foreign.x_train) == 0

    page = Image.new("1", (105, 105), 1)  # white, with a black left half
    page.paste(0, (0, 0, 53, 105))
    png = io.BytesIO()
    page.save(png, "PNG")
    (tmp_path / "omniglot").mkdir()
    with zipfile.ZipFile(tmp_path / "omniglot" / "small.zip", "w") as archive:
        for alphabet in ("Latin", "Greek"):
            archive.writestr(f"images/{alphabet}/character01/0001_01.png", png.getvalue())
    foreign = load_images("omniglot", tmp_path)
    assert foreign.x_test.shape == (2, 1, 28, 28)
    assert foreign.x_test[0, 0, 14, [0, 27]].tolist() == [255, 0]  # inverted: ink is bright
    assert foreign.classes == ("Greek", "Latin")
    (tmp_path / "omniglot" / "small.zip").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"small.zip is corrupt"):
        load_images("omniglot", tmp_path)


def test_unknown_names_and_folders(alone, monkeypatch):
    with pytest.raises(UserError, match=r"no dataset 'minst' \(did you mean 'mnist'\?\): take mnist, fashion-mnist"):
        load_images("minst")
    with pytest.raises(UserError, match=r"--data-dir names .*nowhere, which is not a folder"):
        load_images("mnist", alone / "nowhere")
    monkeypatch.setenv("GEDI_NESY_DATA", str(alone / "gone"))
    with pytest.raises(UserError, match=r"GEDI_NESY_DATA names .*gone, which is not a folder"):
        load_images("mnist")
    monkeypatch.delenv("GEDI_NESY_DATA")
    with pytest.raises(DataUnavailable, match=r"omniglot is not in .*cache, and it can't be downloaded"):
        load_images("omniglot")
    plain = {"mnist", "fashion-mnist", "digits", "cifar10", "cifar100", "svhn", "notmnist", "omniglot"}
    assert set(DATASETS) == plain | {"mnist+operators", "digits+operators"}
