import pytest
import torch
from scipy.stats import ks_2samp
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as TF

from gedi_nesy.views import pictures as ours
from gedi_nesy.views.pictures import augment, draw_crops, resized_crop

EVERYTHING = {"crop": (0.2, 1.0), "flip": 0.5, "jitter": 0.5, "desaturate": 0.2}


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


@pytest.mark.parametrize("size", [(32, 32), (24, 60), (90, 30)])
def test_crops_are_distributed_as_torchvision_s(size):
    """Kolmogorov-Smirnov of each number; in the long images many crops don't fit, and some never do."""
    n, area = 4000, (0.2, 1.0)
    image = torch.zeros(1, 3, *size)
    ours = draw_crops(image.expand(n, -1, -1, -1), area, generator())
    torch.manual_seed(1)
    theirs = torch.tensor([RandomResizedCrop.get_params(image[0], list(area), [3 / 4, 4 / 3]) for _ in range(n)])
    for mine, reference in zip(ours.T, theirs.T, strict=True):
        assert ks_2samp(mine, reference).pvalue > 0.001


@pytest.mark.parametrize("size", [(8, 65), (65, 8)])
def test_where_no_crop_fits_it_is_the_middle_as_torchvision_s(size):
    image = torch.zeros(5, 3, *size)
    expected = RandomResizedCrop.get_params(image[0], [1.0, 1.0], [3 / 4, 4 / 3])
    assert draw_crops(image, (1.0, 1.0), generator()).tolist() == [list(expected)] * 5


def test_a_seed_makes_the_same_views_and_another_one_others():
    images = pictures()
    first, again, other = (augment(images, generator(seed), **EVERYTHING) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1 + 1e-5


def test_changes_are_as_frequent_as_asked_for():
    images = pictures(1).expand(2000, -1, -1, -1).clone()
    images[:, 0] += 0.1
    for how in ({"flip": 0.3}, {"desaturate": 0.3}, {"jitter": 0.3}):
        changed = (augment(images, generator(), **how) != images).flatten(1).any(1)
        assert changed.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(augment(images, generator()), images)


def test_images_of_one_channel_keep_it():
    images = pictures(channels=1)
    assert augment(images, generator(), **EVERYTHING).shape == images.shape
