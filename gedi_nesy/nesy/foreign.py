"""Distorted training images that L_GEN tells from the data, drawn for several steps at once."""

from functools import cache

import torch
from torch import Tensor

from gedi_nesy.nesy.joint import AnyLoader
from gedi_nesy.views.distortion import distort
from gedi_nesy.views.drawings import add_noise
from gedi_nesy.views.features import exchange_features

STEPS = 8  # whose images are distorted together: few images at a time cost as much as many


class DistortedImages:
    """Distorted inputs as a pure function of the step's number, so that a resumed run repeats them.

    Args:
        loader: the examples.
        count: images a step.
        noise: standard deviation of the noise on distorted images, as on the data's views.
        seed: of the phase.
    """

    def __init__(self, loader: AnyLoader, count: int, noise: float, seed: int) -> None:
        self.loader, self.count, self.noise, self.seed = loader, count, noise, seed
        self._of_steps = cache(self._draw)

    def __call__(self, network: str, step: int) -> Tensor:
        """Inputs for a network, [count, images * C, H, W] or [count, images * D]."""
        block, place = divmod(step, STEPS)
        if place == 0:
            self._of_steps.cache_clear()
        return self._of_steps(network, block)[place * self.count : (place + 1) * self.count]

    def _draw(self, network: str, block: int) -> Tensor:
        inputs, reading = self.loader.inputs[network], self.loader.readings[network]
        n, images = self.count * STEPS, len(self.loader.calls[network][0].inputs)
        generator = torch.Generator(inputs.device).manual_seed((self.seed * 100_003 + block) % 2**32)
        rows = torch.randint(len(inputs), (n * images,), generator=generator, device=inputs.device)
        x = inputs[rows]
        if reading.is_vector:
            distorted = exchange_features(x, inputs, generator)
        else:
            distorted = distort(x, reading.surroundings(x), generator)
        return add_noise(distorted, self.noise, generator).unflatten(0, (n, images)).flatten(1, 2)
