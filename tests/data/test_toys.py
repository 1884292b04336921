"""The toys: labels agree with the geometry that was asked for, and a seed fixes the draw."""

import math

import pytest
import torch

from gedi_nesy.data import TOYS, load_toy
from gedi_nesy.errors import UserError


@pytest.mark.parametrize("name", TOYS)
def test_a_seed_fixes_the_draw_and_clusters_are_balanced(name):
    points, labels = load_toy(name, 301, seed=1)
    again, _ = load_toy(name, 301, seed=1)
    other, _ = load_toy(name, 301, seed=2)
    assert points.dtype == torch.float32
    assert points.shape == (301, 2)
    assert torch.equal(points, again)
    assert not torch.equal(points, other)
    sizes = labels.bincount()
    assert int(sizes.max() - sizes.min()) <= 1
    assert (labels[1:] != labels[:-1]).any()  # in random order


@pytest.mark.parametrize(("name", "radii"), [("circles", [1, 1 / 2]), ("rings", [1 / 3, 2 / 3, 1])])
def test_radii_without_noise(name, radii):
    points, labels = load_toy(name, 60, seed=0, noise=0)
    assert torch.allclose(points.norm(dim=1), torch.tensor(radii).float()[labels], atol=1e-6)


def test_spirals_turn_with_the_radius():
    points, labels = load_toy("spirals", 60, seed=0, noise=0)
    radius = points.norm(dim=1)
    angle = 3 * math.pi * radius + math.pi * labels
    assert torch.allclose(points, torch.stack([radius * angle.cos(), radius * angle.sin()], 1), atol=1e-5)


def test_blobs_have_the_same_centres_for_every_seed():
    for seed in (0, 1):
        points, labels = load_toy("blobs", 30, seed, noise=0)
        assert torch.equal(points[labels == 2].unique(dim=0), torch.tensor([[0.0, 1.0]]))


def test_the_noise_is_its_standard_deviation():
    clean, labels = load_toy("blobs", 3000, seed=0, noise=0)
    noisy, noisy_labels = load_toy("blobs", 3000, seed=0, noise=0.2)
    centres = torch.stack([clean[labels == k][0] for k in range(3)])
    assert (noisy - centres[noisy_labels]).std().item() == pytest.approx(0.2, rel=0.05)


def test_an_unknown_toy():
    with pytest.raises(UserError, match=r"no toy dataset 'moon': take moons, circles"):
        load_toy("moon", 10, seed=0)
