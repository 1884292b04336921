"""Toy data: points in the plane whose clusters are easy to see."""

import math
from collections.abc import Callable

import numpy as np
import sklearn.datasets
import torch
from torch import Tensor

from gedi_nesy.errors import UserError

BLOBS = ((-1.0, -0.6), (1.0, -0.6), (0.0, 1.0))  # centres, fixed so that every seed draws from one distribution


def load_toy(name: str, n: int, seed: int, noise: float = 0.05) -> tuple[Tensor, Tensor]:
    """Draw n points of a toy distribution.

    Args:
        name: moons, circles (radii 0.5 and 1), spirals (2), rings (3, radii 1/3, 2/3 and 1) or blobs (3).
        n: number of points; the clusters' sizes differ by one at most.
        seed: of the draw; other seeds draw other points of the same distribution.
        noise: standard deviation of the Gaussian noise on both coordinates.

    Returns:
        Points float32 [n, 2] and labels int64 [n], in random order.

    Raises:
        UserError: the name is unknown.
    """
    if name not in TOYS:
        raise UserError(f"no toy dataset {name!r}: take {', '.join(TOYS)}")
    points, labels = TOYS[name](n, seed, noise)
    return torch.from_numpy(points).float(), torch.from_numpy(labels).long()


Draw = tuple[np.ndarray, np.ndarray]  # points [n, 2], labels [n]


def _moons(n: int, seed: int, noise: float) -> Draw:
    return sklearn.datasets.make_moons(n, noise=noise, random_state=seed)


def _circles(n: int, seed: int, noise: float) -> Draw:
    return sklearn.datasets.make_circles(n, noise=noise, factor=0.5, random_state=seed)


def _blobs(n: int, seed: int, noise: float) -> Draw:
    return sklearn.datasets.make_blobs(n, centers=BLOBS, cluster_std=noise, random_state=seed)


def _rings(n: int, seed: int, noise: float) -> Draw:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(n) % 3
    return _polar((labels + 1) / 3, rng.uniform(0, 2 * math.pi, n), noise, rng), labels


def _spirals(n: int, seed: int, noise: float) -> Draw:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(n) % 2
    radius = np.sqrt(rng.uniform(0.02, 1, n))  # the square root spreads the points evenly along the arm
    return _polar(radius, 3 * math.pi * radius + math.pi * labels, noise, rng), labels


def _polar(radius: np.ndarray, angle: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return points + rng.normal(0, noise, points.shape)


TOYS: dict[str, Callable[[int, int, float], Draw]] = {
    "moons": _moons,
    "circles": _circles,
    "spirals": _spirals,
    "rings": _rings,
    "blobs": _blobs,
}
