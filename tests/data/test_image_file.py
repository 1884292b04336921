import numpy as np
import pytest
from PIL import Image

from gedi_nesy.data.image_file import read_image
from gedi_nesy.data.image_folder import read_unlabelled_folder
from gedi_nesy.errors import UserError


def saved(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    pixels = np.array([[0, 257], [32896, 65535]], np.uint16)
    assert read_image(saved(tmp_path / "deep.png", pixels), (2, 2)).tolist() == [[[0, 1], [128, 255]]]
    colour = read_image(tmp_path / "deep.png", (2, 2), channels=3)
    assert colour[:, 1, 0].tolist() == [128, 128, 128]


def test_what_is_transparent_is_refused_and_what_is_not_is_read(tmp_path):
    ink = np.zeros((2, 2, 4), np.uint8)  # black on nothing
    ink[0, 0, 3] = 255
    with pytest.raises(UserError, match=r"ink.png is transparent in places: save it with a background"):
        read_image(saved(tmp_path / "ink.png", ink), (2, 2))
    palette = Image.new("P", (2, 2))
    palette.save(tmp_path / "palette.png", transparency=0)
    with pytest.raises(UserError, match="transparent in places"):
        read_image(tmp_path / "palette.png", (2, 2))
    ink[..., 3] = 255
    ink[0, 1, :3] = 200
    assert read_image(saved(tmp_path / "opaque.png", ink), (2, 2)).tolist() == [[[0, 200], [0, 0]]]


def test_a_folder_s_images_are_read_in_the_same_way(tmp_path):
    saved(tmp_path / "deep.png", np.full((2, 2), 32896, np.uint16))
    assert read_unlabelled_folder(tmp_path)[0].tolist() == [[[[128, 128], [128, 128]]]]
    saved(tmp_path / "ink.png", np.zeros((2, 2, 4), np.uint8))
    with pytest.raises(UserError, match=r"ink.png is transparent"):
        read_unlabelled_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nothing.png", "There is no image file .*nothing.png"),
        ("text.png", "text.png is not an image that can be read"),
        ("a\0b.png", "is not an image that can be read"),
        ("floats.tiff", "floats.tiff has more than 8 bits a pixel and does not say how much is white"),
        ("bytes.png", "bytes.png has more than 8 bits a pixel and does not say how much is white"),
    ],
)
def test_what_cannot_be_read_is_named(name, sentence, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    saved(tmp_path / "floats.tiff", np.zeros((2, 2), np.float32))
    saved(tmp_path / "bytes.png", np.full((2, 2), 255, np.uint16))  # white, if it was made of bytes
    with pytest.raises(UserError, match=sentence):
        read_image(tmp_path / name, (2, 2))
