"""The energy as a density in the plane, normalised by a sum over a grid; and a kernel density estimate to compare."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from torch import Tensor

from gedi_nesy.core.energy import energy
from gedi_nesy.vision.networks import AnyNetworks

CELLS = 400  # of the grid, on each side
BANDWIDTHS = np.geomspace(0.02, 0.5, 15)
KERNELS = 5000  # most points of a kernel density estimate, whose time grows with the square


@dataclass(frozen=True)
class Grid:
    """Square cells over a box in the plane; a density that is normalised on it is one on the box.

    Attributes:
        low: least coordinate of the box, in both directions.
        high: greatest coordinate.
        cells: number of cells on each side.
    """

    low: float
    high: float
    cells: int = CELLS

    @property
    def log_area(self) -> float:
        """Log of the area of a cell."""
        return 2 * math.log((self.high - self.low) / self.cells)

    def centres(self, device: torch.device | str = "cpu") -> Tensor:
        """Centres of the cells, [cells * cells, 2], row by row from low to high."""
        half = (self.high - self.low) / self.cells / 2
        axis = torch.linspace(self.low + half, self.high - half, self.cells, device=device)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        return torch.stack([x.flatten(), y.flatten()], 1)

    @torch.no_grad()
    def log_normalizer(self, networks: AnyNetworks) -> Tensor:
        """log of the integral of exp(-E(x)) over the box, for each network, [K]."""
        return self._negative_energies(networks).logsumexp(-1) + self.log_area

    @torch.no_grad()
    def log_density(self, networks: AnyNetworks) -> Tensor:
        """Normalised log-density at the centres, [K, cells * cells]."""
        values = self._negative_energies(networks)
        return values - (values.logsumexp(-1, keepdim=True) + self.log_area)

    def _negative_energies(self, networks: AnyNetworks) -> Tensor:
        device = next(networks.parameters()).device
        return torch.cat([-energies(networks, chunk) for chunk in self.centres(device).split(20_000)], -1)


@torch.no_grad()
def energies(networks: AnyNetworks, inputs: Tensor) -> Tensor:
    """E(x) of every network at the same inputs: [n, d] -> [K, n]."""
    return energy(networks(inputs.expand(networks.count, -1, -1)))


@torch.no_grad()
def log_likelihood(networks: AnyNetworks, inputs: Tensor, grid: Grid) -> Tensor:
    """Mean normalised log-density of inputs, [n, 2], in nats, for each network, [K].

    Inputs outside the box would have density 0, so the box must hold them all.
    """
    return -energies(networks, inputs).mean(-1) - grid.log_normalizer(networks)


def kde_log_likelihood(train: Tensor, test: Tensor) -> float:
    """Mean log-density of test points, [m, d], under Gaussian kernels on the training points, [n, d].

    The bandwidth is the one of BANDWIDTHS, in the points' units, that is best in cross-validation on the training
    points; where there are too many, KERNELS random ones stand for all.
    """
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))  # points may come sorted
    points = train.cpu()[order[:KERNELS]].numpy()
    search = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=min(5, len(points)))
    return float(search.fit(points).best_estimator_.score_samples(test.cpu().numpy()).mean())
