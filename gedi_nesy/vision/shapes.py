"""Images by their shapes: a graph of neighbours that no network made, walks on it, and its spectral coordinates."""

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.views.drawings import ink
from gedi_nesy.views.strokes import stroke_histograms

AT_ONCE = 1000  # images whose distances to all others are held
COUPLING = 0.1  # edges that each image shares with all others, so that no few of them are a world of their own
SPARE, TOLERANCE = 10, 1e-5  # eigenvectors beyond those asked for, without which some may be missed; of the eigenvalues


def graph_of_shapes(images: Tensor, neighbours: int, upright: bool = True) -> csr_matrix:
    """The graph in which two images are neighbours when one is among the nearest of the other by its strokes.

    Args:
        images: uint8 [n, C, H, W], each a drawing on a ground of one colour.
        neighbours: how many nearest images of each, itself apart.
        upright: of `stroke_histograms`.

    Returns:
        Symmetric, [n, n], of zeros and ones.

    Raises:
        UserError: if there are too few images.
    """
    n = len(images)
    if n <= neighbours:
        raise UserError(f"A graph of {neighbours} neighbours needs more than {n} images; lower view.neighbours.")
    return graph_of(stroke_histograms(ink(images), upright), neighbours)


def graph_of(features: Tensor, neighbours: int) -> csr_matrix:
    """The same graph by the cosines of features of length 1, [n, F]."""
    n, nearest = len(features), _nearest(features, neighbours).cpu().numpy()
    ends = np.arange(0, n * neighbours + 1, neighbours)
    graph = csr_matrix((np.ones(n * neighbours, np.float32), nearest.ravel(), ends), (n, n))
    return graph.maximum(graph.T).tocsr()


def _nearest(features: Tensor, count: int) -> Tensor:
    """The nearest others of each, by cosine: [n, F] -> int64 [n, count]."""
    found = []
    for first in range(0, len(features), AT_ONCE):
        likeness = features[first : first + AT_ONCE] @ features.T
        own = torch.arange(len(likeness), device=features.device)
        likeness[own, first + own] = -torch.inf
        found.append(likeness.topk(count).indices)
    return torch.cat(found)


def walks_on(graph: csr_matrix, steps: int, ends: int, generator: torch.Generator) -> Tensor:
    """Where some random walks of so many steps from each image end, int32 [n, ends]; each step goes to a neighbour."""
    device = generator.device
    first, degree = graph.indptr[:-1].astype(np.int64), np.diff(graph.indptr)
    start, count, target = (torch.from_numpy(part).to(device) for part in (first, degree, graph.indices))
    at = torch.arange(graph.shape[0], device=device).unsqueeze(1).expand(-1, ends)
    for _ in range(steps):
        chance = torch.rand(at.shape, generator=generator, device=device)
        at = target[start[at] + (chance * count[at]).long()].long()
    return at.int()


def spectral_coordinates(graph: csr_matrix, count: int) -> Tensor:
    """Coordinates in which images are near that long walks connect: float32 [n, count], each of mean square 1.

    They are the eigenvectors of the walk's transitions that decay most slowly, the constant one apart (Shi & Malik,
    PAMI 2000). The graph is coupled weakly to all images alike (Chaudhuri, Chung & Tsiatas, COLT 2012).
    """
    n = graph.shape[0]
    degree = np.asarray(graph.sum(1)).ravel() + COUPLING
    root = 1 / np.sqrt(degree)
    scaled = (diags(root) @ graph @ diags(root)).tocsr()
    product = LinearOperator((n, n), lambda v: scaled @ v + COUPLING / n * (root @ v.ravel()) * root, dtype=np.float64)
    wanted = min(count + 1 + SPARE, n - 1)
    begin = np.random.default_rng(0).standard_normal(n)
    values, vectors = eigsh(product, wanted, which="LA", tol=TOLERANCE, v0=begin)
    slowest = np.argsort(-values)[1 : count + 1]
    coordinates = vectors[:, slowest] * root[:, None]
    return torch.from_numpy(coordinates / np.sqrt((coordinates**2).mean(0))).float()
