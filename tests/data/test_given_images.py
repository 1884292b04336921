"""Images in the forms that Python users have them."""

import numpy as np
import pytest
import torch
from PIL import Image

from gedi_nesy.data.given_images import as_tensor
from gedi_nesy.errors import UserError

BYTES = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
SIZE = (2, 2)


@pytest.mark.parametrize(
    "given",
    [
        BYTES,
        torch.from_numpy(BYTES),
        BYTES.tolist(),
        BYTES.astype(np.int64),
        list(BYTES),
        [torch.from_numpy(BYTES[0]), BYTES[1]],
        np.asfortranarray(BYTES),
        BYTES[::-1][::-1],
    ],
)
def test_the_same_bytes_in_any_form(given):
    found = as_tensor(given, SIZE)
    assert found.dtype == torch.uint8
    assert torch.equal(found, torch.from_numpy(BYTES))


def test_paths_and_floats(tmp_path):
    Image.fromarray(BYTES[1]).save(tmp_path / "a.png")
    for one in (tmp_path / "a.png", str(tmp_path / "a.png")):
        assert as_tensor(one, SIZE).tolist() == [BYTES[1].tolist()]
        assert as_tensor([one, one], SIZE).shape == (2, 1, 2, 2)
    assert as_tensor([[0.0, 0.5]], SIZE).dtype.is_floating_point
    assert as_tensor(BYTES > 3, SIZE).tolist() == (BYTES > 3).astype(float).tolist()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([[1, 2], [3]], "not list"),
        (None, "not NoneType"),
        ({"x": 1}, "not dict"),
        (np.array(["a"]), "not ndarray"),
        (np.array([0, 256]), "bytes, 0 to 255, not 0 to 256"),
        ([torch.zeros(2, 2), torch.zeros(3, 3)], "one shape and type"),
        ("nowhere.png", "There is no image file"),
    ],
)
def test_what_is_no_image_is_refused(given, sentence):
    with pytest.raises(UserError, match=sentence):
        as_tensor(given, SIZE)


def test_images_are_one_line():
    from gedi_nesy.data import load_images

    assert repr(load_images("digits")) == "Images(digits: 1,397 train, 400 test, 1x28x28, 10 classes)"
