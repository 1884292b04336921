"""Data sets of vectors, and single pictures as they are or made alike."""

import numpy as np
import pytest
import torch
from PIL import Image

from gedi_nesy.data.inputs import read_picture
from gedi_nesy.data.npz import read_npz
from gedi_nesy.errors import UserError

VECTORS = {"x_train": np.eye(4, 3), "y_train": np.arange(4) % 2, "x_test": np.eye(2, 3), "y_test": np.arange(2)}


def test_a_data_set_may_be_of_vectors(tmp_path):
    np.savez(tmp_path / "vectors.npz", **VECTORS)
    data = read_npz(tmp_path / "vectors.npz")
    assert data.x_train.dtype == torch.float32
    assert repr(data) == "Images(vectors: 4 train, 2 test, 3, 2 classes)"


def test_vectors_of_no_numbers_are_refused(tmp_path):
    np.savez(tmp_path / "vectors.npz", **VECTORS | {"x_test": np.full((2, 3), np.inf)})
    with pytest.raises(UserError, match="x_test has values that are not finite numbers"):
        read_npz(tmp_path / "vectors.npz")


def test_a_picture_keeps_its_size_and_colour_unless_told(tmp_path):
    Image.new("RGB", (6, 4), (10, 20, 30)).save(tmp_path / "a.png")
    shapes = [read_picture(tmp_path / "a.png", *how).shape for how in ((), ((8, 8),), (None, 1), ((2, 3), 1))]
    assert [tuple(shape) for shape in shapes] == [(3, 4, 6), (3, 8, 8), (1, 4, 6), (1, 2, 3)]
    assert read_picture(tmp_path / "a.png")[:, 0, 0].tolist() == [10, 20, 30]
