"""Random views of feature vectors, by noise and features left out, and distorted vectors that are no data any more."""

import torch
from torch import Tensor

from gedi_nesy.views.drawings import add_noise


def noise_features(x: Tensor, spread: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Vectors with Gaussian noise.

    Args:
        x: [batch, D].
        spread: the standard deviation of each feature over the data, [D].
        noise: standard deviation of the noise, in units of each feature's own.
        generator: on the device of x.
    """
    return x + spread * add_noise(torch.zeros_like(x), noise, generator)


def drop_features(x: Tensor, mean: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Vectors with some features left out, set to their mean; the others move away from their means to make up for it.

    Args:
        x: [batch, D].
        mean: of each feature over the data, [D].
        share: of the features that are left out, below 1; so the expectation of a view is x.
        generator: on the device of x.
    """
    kept = torch.rand(x.shape, generator=generator, device=x.device) >= share
    return mean + kept * (x - mean) / (1 - share)


def exchange_features(x: Tensor, pool: Tensor, generator: torch.Generator) -> Tensor:
    """Vectors in which every second feature, on average, is another vector's: likely one by one, but not together.

    Args:
        x: [batch, D].
        pool: whose features come in, [n, D].
        generator: on the device of x.
    """
    rows = torch.randint(len(pool), x.shape, generator=generator, device=x.device)
    foreign = torch.rand(x.shape, generator=generator, device=x.device) < 0.5
    return torch.where(foreign, pool.gather(0, rows), x)
