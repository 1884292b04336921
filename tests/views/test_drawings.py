import pytest
import torch

from gedi_nesy.views.drawings import Warp, add_noise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_warp_of_no_strength_changes_nothing():
    x = torch.rand(4, 1, 28, 28)
    still = Warp(rotation=0, scale=0, shear=0, shift=0, elastic=0)
    torch.testing.assert_close(still(x, 0.0, generator()), x, atol=1e-5, rtol=0)


def test_a_shift_moves_every_pixel_the_same_way():
    x = torch.zeros(1, 1, 28, 28)
    x[0, 0, 14, 14] = 1.0
    moved = Warp(rotation=0, scale=0, shear=0, shift=2 / 14, elastic=0)(x, 0.0, generator(1))
    rows, columns = torch.arange(28.0)[:, None], torch.arange(28.0)
    centre = torch.stack([(moved[0, 0] * rows).sum(), (moved[0, 0] * columns).sum()])
    u = torch.rand(6, 1, generator=generator(1)) * 2 - 1
    # the grid says where a pixel comes from, so the picture moves the other way; at most 2 pixels
    torch.testing.assert_close(centre, torch.tensor([14 - 2 * u[5, 0], 14 - 2 * u[4, 0]]), atol=1e-3, rtol=0)


def test_what_comes_in_from_outside_is_background():
    black = torch.full((2, 1, 28, 28), -1.0)
    torch.testing.assert_close(Warp()(black, -1.0, generator()), black)


def test_views_repeat_with_the_generator_and_differ_between_images():
    x = torch.rand(1, 1, 28, 28).expand(2, -1, -1, -1)
    first, again = Warp()(x, 0.0, generator(3)), Warp()(x, 0.0, generator(3))
    assert torch.equal(first, again)
    assert not torch.allclose(first[0], first[1], atol=0.05)


def test_noise_has_the_given_deviation():
    noisy = add_noise(torch.zeros(10_000), 0.2, generator())
    assert noisy.std().item() == pytest.approx(0.2, rel=0.03)
