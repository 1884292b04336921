"""T(x'|x) on points: Gaussian noise, a random walk on the graph of nearest neighbours, or one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.neighbors import kneighbors_graph
from torch import Tensor

from gedi_nesy.core.augment import add_noise
from gedi_nesy.errors import UserError
from gedi_nesy.vision.recipe import View

WALKS = 128  # that are walked in advance from each point


@dataclass(frozen=True, eq=False)
class Inputs:
    """Training points of S data sets, and the views of them that K networks see.

    Attributes:
        x: shape [S, n, d].
        walks: for each point the points where random walks from it ended, int64 [S, n, WALKS], or None for no walk.
        noise: standard deviation of the Gaussian noise of a view.
    """

    x: Tensor
    walks: Tensor | None
    noise: float

    def draw(self, networks: int, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A batch for each of K networks, S divides K, with a view of each point: two tensors [K, batch, d].

        Points are drawn independently, so a small data set makes batches as large as any.
        """
        rows = torch.randint(self.x.shape[1], (networks, batch), generator=generator, device=self.x.device)
        return self.points(rows), self.view(rows, generator)

    def view(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """x' ~ T(x'|x) of the points with these numbers, [K, batch] -> [K, batch, d]."""
        if self.walks is not None:
            which = torch.randint(self.walks.shape[2], rows.shape, generator=generator, device=rows.device)
            rows = self.walks[self._owner(len(rows)), rows, which]
        return add_noise(self.points(rows), self.noise, generator)

    def points(self, rows: Tensor) -> Tensor:
        """The points with these numbers, [K, batch] -> [K, batch, d]."""
        return self.x[self._owner(len(rows)), rows]

    def _owner(self, networks: int) -> Tensor:
        """The data set of each network, [K, 1]: K/S neighbouring networks share one."""
        return torch.arange(networks, device=self.x.device)[:, None] // (networks // len(self.x))


def build_inputs(data: Sequence[Tensor], view: View, generator: torch.Generator) -> Inputs:
    """The points of each data set, [n, d], and their views.

    Args:
        data: one tensor a data set, all of one shape.
        view: its noise is in the points' own units.
        generator: source of the walks.

    Raises:
        UserError: if there are too few points for the graph.
    """
    walks = None
    if view.walk:
        walks = torch.stack([random_walks(x, view.walk, view.neighbours, view.shared, generator) for x in data])
    return Inputs(torch.stack(list(data)), walks, view.noise)


def random_walks(x: Tensor, steps: int, neighbours: int, shared: float, generator: torch.Generator) -> Tensor:
    """Where WALKS random walks from each point end, int64 [n, WALKS].

    A walk stays at each step or goes to a neighbour, all with equal probabilities. Two points are neighbours when each
    is among the nearest of the other, and they have enough of them in common (Jarvis & Patrick 1973): few stray points
    bridge a gap between clusters then, and a walk hardly ever crosses it, however long it is.
    Walks of twice the length are made of two shorter ones, so that a walk costs the logarithm of its length.

    Args:
        x: points [n, d].
        steps: of a walk, one or more.
        neighbours: how many nearest points of each, itself apart.
        shared: the share of them that two neighbours have in common at least, they themselves counted.
        generator: on the device of x.

    Raises:
        UserError: if there are too few points.
    """
    if len(x) <= neighbours:
        raise UserError(f"A graph of {neighbours} neighbours needs more than {len(x)} points; lower view.neighbours.")
    doubled = _one_step(x, neighbours, shared, generator)
    ends: Tensor | None = None
    while steps:
        if steps % 2:
            ends = doubled if ends is None else _go_on(ends, doubled, generator)
        doubled = _go_on(doubled, doubled, generator)
        steps //= 2
    assert ends is not None
    return ends


def _one_step(x: Tensor, neighbours: int, shared: float, generator: torch.Generator) -> Tensor:
    """Where WALKS single steps from each point end, [n, WALKS]."""
    nearest = kneighbors_graph(x.cpu().numpy(), neighbours + 1, include_self=True)
    mutual = nearest.minimum(nearest.T)
    graph = mutual.multiply((nearest @ nearest.T) >= shared * (neighbours + 1)).tocsr()
    graph.eliminate_zeros()
    first, count = graph.indptr[:-1], np.diff(graph.indptr)
    start, degree, target = (torch.from_numpy(part).to(x.device) for part in (first, count, graph.indices))
    chance = torch.rand((len(x), WALKS), generator=generator, device=x.device)
    return target[start[:, None] + (chance * degree[:, None]).long()].long()


def _go_on(ends: Tensor, walks: Tensor, generator: torch.Generator) -> Tensor:
    """From where walks ended, [n, WALKS], one walk more, drawn from those that were walked from there."""
    return walks[ends, torch.randint(WALKS, ends.shape, generator=generator, device=ends.device)]
