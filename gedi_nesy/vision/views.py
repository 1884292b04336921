"""T(x'|x): on points a random walk on the graph of nearest neighbours, on images random changes; then noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, identity
from sklearn.neighbors import kneighbors_graph
from torch import Tensor

from gedi_nesy.core.nearest import nearest_rows
from gedi_nesy.core.reference import ground_of
from gedi_nesy.errors import UserError
from gedi_nesy.views.choose import DrawingView
from gedi_nesy.views.drawings import add_noise
from gedi_nesy.views.pictures import augment
from gedi_nesy.vision.recipe import Augment, View
from gedi_nesy.vision.scale import Scale, find_box

WALKS = 128  # walks in advance from each point
# Least share of their nearest points, themselves counted, that two neighbours have in common: at 0.6 the graph of a
# thin cluster falls apart, at 0 stray points bridge gaps.
SHARED = 0.5
GROUND = 1000  # images whose median is the ground


@dataclass(frozen=True, eq=False)
class Inputs:
    """Training points of S data sets, and the views of them that K networks see.

    Attributes:
        x: shape [S, n, d].
        walks: for each point the points where random walks from it ended, int64 [S, n, WALKS], or None for no walk.
        noise: standard deviation of the Gaussian noise of a view.
        anchor_noise: standard deviation of the noise on the points themselves, of which views are made.
        judged: how many points networks are judged on, at most, and how many views of each.
        part: how many points go through a network at once outside of training.
    """

    x: Tensor
    walks: Tensor | None
    noise: float
    anchor_noise: float
    judged = 2000, 8
    part = 100_000

    @property
    def count(self) -> int:
        """Points of each data set."""
        return self.x.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one point."""
        return tuple(self.x.shape[2:])

    def box(self, margin: float) -> tuple[float, float]:
        """The range of all points, and `margin` of its width more on each side.

        Raises:
            UserError: if all points are the same.
        """
        if self.x.min() == self.x.max():
            raise UserError("All points are the same, so there is nothing to learn from them; give points that differ.")
        return find_box(self.x, margin)

    def ground(self) -> None:
        """Points lie on no ground."""

    def draw(self, networks: int, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A batch for each of K networks, S divides K: numbers [K, batch], points and a view of each [K, batch, d].

        Points are drawn independently, so a small data set makes batches as large as any.
        """
        rows = torch.randint(self.x.shape[1], (networks, batch), generator=generator, device=self.x.device)
        x = self.points(rows)
        if self.anchor_noise:
            x = add_noise(x, self.anchor_noise, generator)
        return rows, x, self.view(rows, generator)

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
        return find_owners(self.x, networks)


@dataclass(frozen=True, eq=False)
class ImageInputs:
    """Training images of S data sets, kept as bytes, and the views of them that K networks see.

    Attributes:
        x: uint8 [S, n, C, H, W].
        scales: of each data set.
        how: the random changes of an image.
        noise: standard deviation of the Gaussian noise of a view, in units of the inputs.
        warp: how far drawings are warped, as a factor of `Warp`; 0 leaves it out.
        walks: for each image some where random walks from it ended, [L, n, ENDS], L divides K; or None for no walk.
        judged: as in `Inputs`.
        part: as in `Inputs`.
    """

    x: Tensor
    scales: Sequence[Scale]
    how: Augment
    noise: float
    warp: float = 0.0
    walks: Tensor | None = None
    judged = 1000, 2
    part = 500

    @property
    def count(self) -> int:
        """Images of each data set."""
        return self.x.shape[1]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image: C, H, W."""
        return tuple(self.x.shape[2:])

    def box(self, margin: float) -> tuple[float, float]:
        """The inputs between black and white, and `margin` of that range more on each side."""
        extremes = torch.tensor([0, 255], device=self.x.device).view(2, 1, 1, 1)
        return find_box(torch.stack([scale.to_inputs(extremes) for scale in self.scales]), margin)

    def ground(self) -> Tensor:
        """What the images are drawn on, as an input, [C, 1, 1]: the median of each channel."""
        return ground_of(self.scales[0].to_inputs(self.x[0, :GROUND]))

    def draw(self, networks: int, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A batch for each of K networks, S divides K: numbers [K, batch], anchors and views [K, batch, C, H, W]."""
        rows = torch.randint(self.count, (networks, batch), generator=generator, device=self.x.device)
        return rows, self.anchors(rows, generator), self.view(rows, generator)

    def anchors(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """What views are of, and L_GEN's data, [K, batch] -> [K, batch, C, H, W].

        The image beside its view can itself be noisy, or another view, one that does not walk.
        """
        if self.how.anchor == "view":
            return self.changed(rows, generator)
        x = self.points(rows)
        return add_noise(x, self.noise, generator) if self.how.anchor == "noise" else x

    def view(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """x' ~ T(x'|x) of the images with these numbers, [K, batch] -> [K, batch, C, H, W]."""
        if self.walks is not None:
            which = torch.randint(self.walks.shape[2], rows.shape, generator=generator, device=rows.device)
            rows = self.walks[find_owners(self.walks, len(rows)), rows, which].long()
        return self.changed(rows, generator)

    def changed(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The images with these numbers, changed at random but not exchanged, [K, batch] -> [K, batch, C, H, W]."""
        images = self._augmented((self.x[find_owners(self.x, len(rows)), rows] / 255).flatten(0, 1), generator)
        if self.warp:
            images = DrawingView(self.warp)(images, generator)
        return add_noise(self._to_inputs(255 * images.unflatten(0, rows.shape)), self.noise, generator)

    def several(self, networks: int, batch: int, views: int, generator: torch.Generator) -> Tensor:
        """Several views of each image of a batch for each of K networks, S divides K: [K, views, batch, C, H, W]."""
        rows = torch.randint(self.count, (networks, batch), generator=generator, device=self.x.device)
        return self.changed(rows.repeat(1, views), generator).unflatten(1, (views, batch))

    def renewed(self, samples: Tensor, share: float, generator: torch.Generator) -> Tensor:
        """Samples as inputs, [K, n, C, H, W], a share of them changed at random as images are."""
        parts = zip(samples.split(len(samples) // len(self.scales)), self.scales, strict=True)
        pixels = torch.cat([scale.to_points(part) for part, scale in parts])
        images = self._augmented((pixels / 255).clamp(0, 1).flatten(0, 1), generator)
        changed = torch.rand(samples.shape[:2], generator=generator, device=samples.device) < share
        return torch.where(changed[:, :, None, None, None], self._to_inputs(255 * images.view_as(samples)), samples)

    def points(self, rows: Tensor) -> Tensor:
        """The images with these numbers as inputs, [K, batch] -> [K, batch, C, H, W]."""
        return self._to_inputs(self.x[find_owners(self.x, len(rows)), rows])

    def _augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images [batch, C, H, W] from 0 to 1, changed at random."""
        how = self.how
        return augment(images, generator, crop=how.crop, flip=how.flip, jitter=how.jitter, desaturate=how.grey)

    def _to_inputs(self, pixels: Tensor) -> Tensor:
        """Pixels from 0 to 255, [K, ..., C, H, W], each network's by the scale of its data set."""
        repeats = len(pixels) // len(self.scales)
        parts = zip(pixels.split(repeats), self.scales, strict=True)
        return torch.cat([scale.of_channels.to_inputs(part) for part, scale in parts])


AnyInputs = Inputs | ImageInputs


def find_owners(x: Tensor, networks: int) -> Tensor:
    """The data set of each network, [K, 1], of S in x, [S, ...]: K/S neighbouring networks share one."""
    return torch.arange(networks, device=x.device)[:, None] // (networks // len(x))


def build_inputs(data: Sequence[Tensor], view: View, generator: torch.Generator) -> Inputs:
    """The points of each data set, [n, d], and their views.

    Args:
        data: one tensor a data set, all of one shape.
        view: its noises are in the points' own units.
        generator: source of the walks.

    Raises:
        UserError: if there are too few points for the graph.
    """
    walks = None
    if view.walk:
        walks = torch.stack([random_walks(x, view.walk, view.neighbours, generator) for x in data])
    return Inputs(torch.stack(list(data)), walks, view.noise, view.anchor_noise)


def random_walks(x: Tensor, steps: int, neighbours: int, generator: torch.Generator) -> Tensor:
    """Where WALKS random walks from each point end, int64 [n, WALKS].

    At each step a walk stays or goes to a neighbour, all with equal probabilities. Two points are neighbours when each
    is among the other's nearest points, and they have enough nearest points in common (Jarvis & Patrick 1973): few
    stray points bridge a gap between clusters then, and a walk hardly ever crosses it, however long it is.
    Walks of twice the length are made of two shorter ones, so that a walk costs the logarithm of its length.

    Args:
        x: points [n, d].
        steps: of a walk, one or more.
        neighbours: how many nearest points of each, itself apart.
        generator: on the device of x.

    Raises:
        UserError: if there are too few points.
    """
    if len(x) <= neighbours:
        raise UserError(f"A graph of {neighbours} neighbours needs more than {len(x)} points; lower view.neighbours.")
    doubled = _one_step(x, neighbours, generator)
    ends: Tensor | None = None
    while steps:
        if steps % 2:
            ends = doubled if ends is None else _go_on(ends, doubled, generator)
        doubled = _go_on(doubled, doubled, generator)
        steps //= 2
    assert ends is not None
    return ends


def _one_step(x: Tensor, neighbours: int, generator: torch.Generator) -> Tensor:
    """Where WALKS single steps from each point end, [n, WALKS]."""
    nearest = _nearest(x, neighbours + 1)
    mutual = nearest.minimum(nearest.T)
    graph = mutual.multiply((nearest @ nearest.T) >= SHARED * (neighbours + 1))
    graph = graph.maximum(identity(len(x))).tocsr()  # one of many equal points may not be among its own nearest
    graph.eliminate_zeros()
    first, count = graph.indptr[:-1], np.diff(graph.indptr)
    start, degree, target = (torch.from_numpy(part).to(x.device) for part in (first, count, graph.indices))
    chance = torch.rand((len(x), WALKS), generator=generator, device=x.device)
    return target[start[:, None] + (chance * degree[:, None]).long()].long()


def _nearest(x: Tensor, count: int) -> csr_matrix:
    """The graph from each point to its nearest ones, itself among them; exact, on a GPU as well."""
    if x.device.type == "cpu":
        return kneighbors_graph(x.numpy(), count, include_self=True)
    columns = nearest_rows(x, count).flatten().cpu().numpy()
    return csr_matrix((np.ones(len(columns)), columns, np.arange(0, len(columns) + 1, count)), (len(x), len(x)))


def _go_on(ends: Tensor, walks: Tensor, generator: torch.Generator) -> Tensor:
    """The ends of walks, [n, WALKS], after one more walk from each end, drawn from the walks that began there."""
    return walks[ends, torch.randint(WALKS, ends.shape, generator=generator, device=ends.device)]
