"""The best NMI possible on the toys, reached by the classifier that knows how the points are drawn."""

import numpy as np
from scipy.special import logsumexp
from sklearn.metrics import normalized_mutual_info_score

from gedi_nesy.data.points import TEST_POINTS, TEST_SEED
from gedi_nesy.data.toys import load_toy

CENTRES = 6000  # points without noise, from which the density of each cluster is made


def bayes_nmi(name: str, noise: float, seed: int) -> float:
    """NMI of the most probable cluster of each test point with the true one, which nothing can hope to beat."""
    points, labels = load_toy(name, TEST_POINTS, TEST_SEED + seed, noise)
    return float(normalized_mutual_info_score(labels, most_probable(name, noise, points.numpy())))


def most_probable(name: str, noise: float, points: np.ndarray) -> np.ndarray:
    """The cluster under whose density each point is the likeliest, [n, 2] -> [n]; the clusters are equally large."""
    centres, labels = (part.numpy() for part in load_toy(name, CENTRES, 0, 0.0))
    squares = ((points[:, None] - centres) ** 2).sum(-1)  # [n, CENTRES]
    densities = [logsumexp(-squares[:, labels == k] / (2 * noise**2), axis=1) for k in range(labels.max() + 1)]
    return np.argmax(densities, axis=0)
