"""Distorted images as a function of the step's number."""

import torch

from gedi_nesy.nesy.foreign import STEPS, DistortedImages


def images_of(loader, seed, steps):
    distorted = DistortedImages(loader, 3, 0.1, seed)
    return [distorted("digits", step) for step in steps]


def test_a_resumed_run_sees_the_same_images(loader):
    steps = range(2 * STEPS + 1)
    whole, resumed = images_of(loader, 0, steps), images_of(loader, 0, steps[5:])
    assert all(torch.equal(a, b) for a, b in zip(whole[5:], resumed, strict=True))
    assert whole[0].shape == (3, 1, 28, 28)


def test_no_two_steps_or_seeds_see_the_same_images(loader):
    seen = images_of(loader, 0, range(2 * STEPS)) + images_of(loader, 1, range(STEPS))
    assert len({tuple(images.flatten().tolist()) for images in seen}) == len(seen)
