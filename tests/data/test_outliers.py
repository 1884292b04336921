"""Outliers are made of the digits given, or read, and always come as a network reads them."""

import numpy as np
import pytest
import torch
from corruptions import CORRUPTIONS, corrupt_images
from PIL import Image

from gedi_nesy.data.outliers import MADE, load_outliers, made_outliers
from gedi_nesy.errors import UserError

DIGITS = torch.randint(256, (6, 1, 28, 28), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_a_quarter_turn_and_a_negative_by_hand():
    rotated, inverted = load_outliers("rotated", DIGITS), load_outliers("inverted", DIGITS)
    assert rotated[2, 0, 27, 3] == DIGITS[2, 0, 3, 0]  # counter-clockwise: the left column becomes the bottom row
    assert inverted[2, 0, 3, 0] == 255 - DIGITS[2, 0, 3, 0]


@pytest.mark.parametrize("name", MADE)
def test_made_outliers_are_the_same_each_time(name):
    outliers = load_outliers(name, DIGITS)
    assert (outliers.dtype, outliers.shape) == (torch.uint8, DIGITS.shape)
    assert torch.equal(outliers, load_outliers(name, DIGITS))
    assert not torch.equal(outliers, DIGITS)


def test_what_is_not_known_is_refused_with_a_hint():
    with pytest.raises(UserError, match=r"no dataset 'nois' \(did you mean 'noise'\?\): take rotated"):
        load_outliers("nois", DIGITS)
    with pytest.raises(UserError, match="20x28 pixels have another shape when they are rotated"):
        load_outliers("rotated", DIGITS[:, :, :20])
    assert made_outliers(DIGITS[:, :, :20]) == ("inverted", "noise")


def test_colour_images_of_another_size_become_grey(tmp_path):
    red = np.zeros((3, 32, 32, 3), np.uint8)
    red[..., 0] = 200
    labels = np.zeros(3, int)
    np.savez(tmp_path / "red.npz", x_train=red[:0], y_train=labels[:0], x_test=red, y_test=labels)
    outliers = load_outliers(str(tmp_path / "red.npz"), DIGITS)
    assert outliers.shape == (3, 1, 28, 28)
    assert (outliers == round(0.2989 * 200)).all()


def test_colour_is_kept_and_grey_images_get_three_equal_channels(tmp_path):
    photos = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    labels = np.zeros(6, int)
    np.savez(tmp_path / "grey.npz", x_train=DIGITS[:0], y_train=labels[:0], x_test=DIGITS, y_test=labels)
    grey = load_outliers(str(tmp_path / "grey.npz"), photos)
    assert grey.shape == (6, 3, 32, 32)
    assert (grey == grey[:, :1]).all()
    Image.new("RGB", (40, 20), (9, 8, 7)).save(tmp_path / "a.png")
    assert load_outliers(str(tmp_path), photos)[0, :, 5, 31].tolist() == [9, 8, 7]
    assert load_outliers("noise", photos).shape == photos.shape


def test_a_folder_gives_all_its_images_whatever_their_size(tmp_path):
    (tmp_path / "deep").mkdir()
    Image.new("L", (56, 40), 7).save(tmp_path / "deep" / "a.png")
    Image.new("RGB", (28, 28), (9, 9, 9)).save(tmp_path / "b.png")
    assert load_outliers(str(tmp_path), DIGITS).flatten(1).float().mean(1).tolist() == [9, 7]


def test_what_holds_no_images_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds no \.png or \.jpg"):
        load_outliers(str(tmp_path), DIGITS)
    with pytest.raises(UserError, match=r"no dataset 'notminst' \(did you mean 'notmnist'"):
        load_outliers("notminst", DIGITS)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_changes_images_and_repeats(kind):
    corrupted = corrupt_images(kind, DIGITS)
    assert (corrupted.dtype, corrupted.shape) == (torch.uint8, DIGITS.shape)
    assert torch.equal(corrupted, corrupt_images(kind, DIGITS))
    assert (corrupted != DIGITS).any((1, 2, 3)).all()


def test_corruptions_by_hand():
    dot = torch.zeros(40, 1, 28, 28, dtype=torch.uint8)
    dot[:, 0, 14, 14] = 255
    places = {tuple(place) for place in corrupt_images("shift", dot).nonzero()[:, 2:].tolist()}
    assert places == {(10, 10), (10, 18), (18, 10), (18, 18)}
    assert corrupt_images("contrast", dot).unique().tolist() == [round(255 * 0.4), round(255 * 0.6)]
    assert (corrupt_images("occlusion", dot * 0) == 128).sum((1, 2, 3)).tolist() == [100] * 40
    assert corrupt_images("blur", dot).sum((1, 2, 3)).float().sub(255).abs().max() < 25  # up to rounding
    turned = corrupt_images("rotation", torch.full((4, 1, 28, 28), 80, dtype=torch.uint8))
    assert (turned[:, 0, 14, 14] == 80).all()
    assert (turned[:, 0, 0, 0] == 0).all()


def test_vectors_have_outliers_of_their_own(tmp_path):
    generator = torch.Generator().manual_seed(0)
    own = torch.randn(2000, 1, generator=generator) + torch.tensor([0.0, 5.0, 9.0]) + 0.1 * torch.randn(2000, 3)
    exchanged, noise = (load_outliers(name, own) for name in made_outliers(own))
    for foreign in (exchanged, noise):
        assert foreign.shape == own.shape
        assert (foreign.mean(0) - own.mean(0)).abs().max() < 0.1
        assert torch.corrcoef(foreign.T)[0, 1] < 0.7 < torch.corrcoef(own.T)[0, 1]
    np.savez(tmp_path / "others.npz", x_train=own.numpy()[:, :2], x_test=own.numpy()[:, :2])
    with pytest.raises(UserError, match=r"others.npz has \[2\] where the run's vectors have \[3\]"):
        load_outliers(str(tmp_path / "others.npz"), own)
    with pytest.raises(UserError, match=r"no outliers 'nois' of vectors \(did you mean 'noise'\?\)"):
        load_outliers("nois", own)
