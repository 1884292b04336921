import pytest
import torch
from torchvision.transforms import functional as TF

from gedi_nesy.vision import augment as ours
from gedi_nesy.vision.augment import augment, draw_crops, resized_crop
from gedi_nesy.vision.recipe import Augment

EVERYTHING = Augment(crop=(0.2, 1.0), flip=0.5, jitter=0.5, grey=0.2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=6, channels=3):
    images = torch.rand(n, channels, 32, 32, generator=generator(9))
    images[0] = images[0, :1]  # one is grey, so that it has no hue
    return images


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_each_change_of_colour_is_torchvision_s(name):
    images, amounts = pictures(), torch.linspace(-0.5, 0.5, 6) + (0.0 if name == "hue" else 1.0)
    changed = getattr(ours, f"adjust_{name}")(images, amounts)
    for image, one, amount in zip(images, changed, amounts.tolist(), strict=True):
        torch.testing.assert_close(one, getattr(TF, f"adjust_{name}")(image, amount), rtol=0, atol=1e-5)


def test_a_crop_is_torchvision_s():
    images = pictures()
    crops = draw_crops(images, (0.2, 1.0), generator())
    for image, one, crop in zip(images, resized_crop(images, crops), crops.tolist(), strict=True):
        torch.testing.assert_close(one, TF.resized_crop(image, *crop, [32, 32], antialias=False), rtol=0, atol=1e-5)


def test_crops_have_the_area_and_the_sides_that_were_asked_for():
    top, left, height, width = draw_crops(torch.zeros(4000, 3, 32, 32), (0.2, 0.5), generator()).double().unbind(1)
    assert (top.min(), left.min()) == (0, 0)
    assert (top + height).max() == (left + width).max() == 32
    area = height * width / 32**2
    assert area.min() > 0.18  # rounding moves it a little
    assert area.max() < 0.53
    assert area.mean().item() == pytest.approx(0.35, abs=0.01)
    assert (width / height).min() > 0.65
    assert (width / height).max() < 1.5
    assert (width / height).log().mean().item() == pytest.approx(0, abs=0.02)


def test_a_seed_makes_the_same_views_and_another_one_others():
    images = pictures()
    first, again, other = (augment(images, EVERYTHING, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1 + 1e-5


def test_changes_are_as_frequent_as_asked_for():
    images = pictures(1).expand(2000, -1, -1, -1).clone()
    images[:, 0] += 0.1
    for how in (Augment(flip=0.3), Augment(grey=0.3), Augment(jitter=0.3)):
        changed = (augment(images, how, generator()) != images).flatten(1).any(1)
        assert changed.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(augment(images, Augment(), generator()), images)


def test_images_of_one_channel_keep_it():
    images = pictures(channels=1)
    assert augment(images, EVERYTHING, generator()).shape == images.shape
