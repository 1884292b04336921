import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from gedi_nesy.data.image_file import read_image
from gedi_nesy.data.image_folder import read_image_folder, read_unlabelled_folder
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


def test_an_image_of_another_shape_is_centred_on_its_ground(tmp_path):
    pixels = np.full((2, 4), 200, np.uint8)
    pixels[:, 3] = 100
    with pytest.warns(UserWarning, match="not of the shape 4x4 keep their ratio of width to height"):
        found = read_image(saved(tmp_path / "wide.png", pixels), (4, 4))
    assert found.tolist() == [[[200] * 4, [200, 200, 200, 100], [200, 200, 200, 100], [200] * 4]]
    with pytest.warns(UserWarning, match="not of the shape 2x4"):
        tall = read_image(saved(tmp_path / "tall.png", np.full((8, 2, 3), (9, 8, 7), np.uint8)), (4, 2), channels=3)
    assert [tall[k].unique().tolist() for k in range(3)] == [[9], [8], [7]]
    with warnings.catch_warnings(action="error"):
        read_image(saved(tmp_path / "fits.png", np.zeros((8, 4), np.uint8)), (4, 2))


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


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_every_format_that_is_named_is_read_whatever_its_ending(kind, tmp_path):
    Image.new("L", (4, 4), 200).save(tmp_path / "image.any", kind)
    assert read_image(tmp_path / "image.any", (4, 4)).float().mean().item() == pytest.approx(200, abs=2)


def test_of_several_frames_the_first_is_read(tmp_path):
    dark, light = (Image.new("L", (2, 2), value) for value in (0, 255))
    light.save(tmp_path / "moving.gif", save_all=True, append_images=[dark])
    assert read_image(tmp_path / "moving.gif", (2, 2)).tolist() == [[[255, 255], [255, 255]]]


def test_formats_that_run_programs_are_refused_under_any_name(tmp_path):
    Image.new("L", (2, 2)).save(tmp_path / "image.png", "EPS")
    Image.new("L", (2, 2)).save(tmp_path / "image.jpg", "PPM")
    for name in ("image.png", "image.jpg"):
        with pytest.raises(UserError, match="is not an image that can be read; give a PNG"):
            read_image(tmp_path / name, (2, 2))


def png_of(width, height):
    """A PNG whose header promises so many pixels, and that ends where they would begin."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"\0\0\0\0IDAT"
    )


@pytest.mark.parametrize("size", [(1, 170_000_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_they_are_decoded(size, tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_of(*size))
    with pytest.raises(UserError, match=r"bomb.png has .*more than 64,000,000"):
        read_image(tmp_path / "bomb.png", (2, 2))


def test_an_image_stands_as_the_camera_was_held(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    Image.fromarray(np.array([[255, 255], [0, 0]], np.uint8)).save(tmp_path / "turned.png", exif=exif)
    assert read_image(tmp_path / "turned.png", (2, 2)).tolist() == [[[0, 255], [0, 255]]]


def test_a_fifo_and_a_device_are_no_images(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "zero.png"):
        with pytest.raises(UserError, match="is not an image that can be read"):
            read_image(tmp_path / name, (2, 2))


@pytest.mark.parametrize(
    ("stray", "sentence"),
    [
        ("train/cat/2.heic", r"2.heic would not be read, only .bmp, .gif"),
        ("train/cat/more/1.png", r"more is a folder among images"),
    ],
)
def test_what_a_labelled_folder_would_skip_is_said(stray, sentence, tmp_path):
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        saved(tmp_path / split / "cat" / "1.png", np.zeros((2, 2), np.uint8))
        (tmp_path / split / "cat" / "Thumbs.db").write_text("")
    assert len(read_image_folder(tmp_path).x_train) == 1
    (tmp_path / stray).parent.mkdir(exist_ok=True)
    saved(tmp_path / "image", np.zeros((2, 2), np.uint8), format="PNG").rename(tmp_path / stray)
    with pytest.raises(UserError, match=sentence):
        read_image_folder(tmp_path)


@pytest.mark.parametrize("stray", ["train/1.png", "test/labels.csv", "val/cat/1.png"])
def test_what_lies_beside_the_classes_is_said(stray, tmp_path):
    for name in ("train/cat/1.png", "test/cat/1.png", stray):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        saved(tmp_path / name, np.zeros((2, 2), np.uint8), format="PNG")
    with pytest.warns(UserWarning, match=f"{stray.removesuffix('/cat/1.png')} is not read"):
        assert len(read_image_folder(tmp_path).x_train) == 1


def test_what_a_folder_without_labels_would_skip_is_said(tmp_path):
    saved(tmp_path / "1.bmp", np.zeros((2, 2), np.uint8))
    assert read_unlabelled_folder(tmp_path)[0].shape == (1, 1, 2, 2)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match=r"notes.txt would not be read"):
        read_unlabelled_folder(tmp_path)
