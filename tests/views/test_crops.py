import torch
from torch.nn import functional as F

from gedi_nesy.views.crops import Crops, plan_crops, several_crops
from gedi_nesy.views.pictures import resized_crop

PLAIN = {"flip": 0.0, "jitter": 0.0, "grey": 0.0}


def pictures(n=3):
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_a_crop_to_another_side_is_the_part_scaled_to_it():
    x = pictures(1)
    found = resized_crop(x, torch.tensor([[2, 3, 10, 8]]), 6)
    expected = F.interpolate(x[:, :, 2:12, 3:11], size=(6, 6), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found, expected)


def test_each_kind_has_its_number_and_side():
    found = several_crops(pictures(), [Crops(2, 16, (0.2, 1.0)), Crops(3, 8, (0.1, 0.3))], torch.Generator(), **PLAIN)
    assert [tuple(kind.shape) for kind in found] == [(2, 3, 3, 16, 16), (3, 3, 3, 8, 8)]


def test_every_crop_is_of_its_own_picture():
    x = torch.arange(3).view(3, 1, 1, 1).expand(3, 3, 16, 16) / 2
    for kind in several_crops(x, [Crops(2, 8, (0.2, 0.5))], torch.Generator(), **PLAIN):
        torch.testing.assert_close(kind, x[None, ..., :8, :8].expand_as(kind))


def test_crops_of_a_picture_differ():
    (kind,) = several_crops(pictures(), [Crops(2, 8, (0.2, 0.5))], torch.Generator().manual_seed(0), **PLAIN)
    assert not torch.allclose(kind[0], kind[1])


def test_only_pictures_with_pixels_enough_have_small_crops():
    assert {kind.side for kind in plan_crops(32)} == {32, 16}
    (whole,) = plan_crops(16)
    assert (whole.side, whole.area[1]) == (16, 1.0)
