"""Restarts of the clustering alone, in seconds: many projectors and heads on features, or on spectral coordinates."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gedi_nesy.core.losses import invariance_loss, prior_loss
from gedi_nesy.core.objective import uniform_log_prior
from gedi_nesy.vision.certificate import TOLERANCE_BY_FEATURES, TOLERANCE_BY_SHAPE, Choice
from gedi_nesy.vision.image_network import ImageNetwork, ImageNetworks
from gedi_nesy.vision.network import Networks

STEPS, BATCH = 400, 500
RATE = 3e-3  # Adam's greatest learning rate; it rises for a twentieth of the steps and falls like a cosine
WIDTHS = (128,), (64,)  # of encoder and projector on spectral coordinates

Read = Callable[[Tensor], Tensor]  # log p(y|x) by H restarts of features or coordinates, [n, F] -> [H, n, clusters]


@dataclass(frozen=True, eq=False)
class Found:
    """The result of restarts on the features of one network.

    Attributes:
        choice: the choice among the restarts; the others' clusters are of the judged images.
        network: the best of them, whose projector and head read features as the network gives them.
    """

    choice: Choice
    network: ImageNetwork


def cluster_features(
    networks: ImageNetworks, features: Tensor, walks: Tensor, judged: Tensor, generator: torch.Generator
) -> Found:
    """Train projectors and heads by L_INV over walks and a uniform L_PRIOR, and choose one by its D.

    Args:
        networks: fresh ones, H of them; their encoders are not used.
        features: of each image, [n, F].
        walks: where walks from each image ended, [n, ENDS].
        judged: numbers of the images on whose clusters restarts should agree.
        generator: source of the batches.
    """
    mean, spread = features.mean(0), features.std(0)
    spread = spread.clamp_min(0.1 * spread.mean())  # a feature that hardly varies says little
    x = (features - mean) / spread

    def read(x: Tensor) -> Tensor:
        return networks.classify(networks.project(x.expand(networks.count, *x.shape))).log_softmax(-1)

    train_heads(read, (p for one in networks.members for p in _head_of(one)), x, walks, generator)
    choice, _ = _choose(read, x, walks, judged, TOLERANCE_BY_FEATURES, generator)
    network = networks.members[choice.best]
    _read_unscaled(network, mean, spread)
    return Found(choice, network)


def heads_for(coordinates: Tensor, count: int, clusters: int, seed: int) -> Networks:
    """Fresh networks that read coordinates, [n, d], on the device of these."""
    fresh = Networks(count, coordinates.shape[1], *WIDTHS, clusters, "linear", 1.0, seed)
    return fresh.to(coordinates.device)


def cluster_coordinates(
    networks: Networks, x: Tensor, walks: Tensor, judged: Tensor, generator: torch.Generator, prior: float
) -> tuple[Choice, Tensor]:
    """Train networks on points by L_INV over walks and a uniform L_PRIOR, weighted, and choose one by its D.

    Args:
        networks: fresh ones.
        x: the points, [n, d], each column of mean square 1.
        walks, judged, generator: as for `cluster_features`.
        prior: the weight of L_PRIOR beside L_INV.

    Returns:
        The choice, and the chosen one's p(y|x), the mean over where walks from each point ended, [n, clusters].
    """

    def read(x: Tensor) -> Tensor:
        return networks(x.expand(networks.count, *x.shape)).log_softmax(-1)

    train_heads(read, networks.parameters(), x, walks, generator, prior=prior)
    choice, log_probs = _choose(read, x, walks, judged, TOLERANCE_BY_SHAPE, generator)
    return choice, log_probs.exp()[walks.long()].mean(1)


def train_heads(
    read: Read,
    parameters: Iterable[nn.Parameter],
    x: Tensor,
    walks: Tensor,
    generator: torch.Generator,
    prior: float = 1.0,
) -> None:
    """Let restarts tell clusters apart that walks do not leave.

    Args:
        read: the restarts.
        parameters: theirs.
        x: features [n, F] with mean 0 and deviation 1.
        walks: [n, ENDS].
        generator: source of the batches.
        prior: weight of L_PRIOR.
    """
    optimizer = torch.optim.Adam(parameters, fused=True)
    for step in range(1, STEPS + 1):
        done = step / STEPS
        rise, fall = min(1.0, 20 * done), 0.5 * (1 + math.cos(math.pi * done))
        optimizer.param_groups[0]["lr"] = RATE * rise * fall
        rows = torch.randint(len(x), (BATCH,), generator=generator, device=x.device)
        both = torch.cat([x[rows], x[_step(rows, walks, generator)]])
        log_probs, view_log_probs = read(both).split(BATCH, 1)
        optimizer.zero_grad()
        _loss(log_probs, view_log_probs, prior).sum().backward()
        optimizer.step()


def _step(rows: Tensor, walks: Tensor, generator: torch.Generator) -> Tensor:
    """Where one of the walks from each of these images ended."""
    which = torch.randint(walks.shape[1], rows.shape, generator=generator, device=rows.device)
    return walks[rows, which].long()


@torch.no_grad()
def _choose(
    read: Read, x: Tensor, walks: Tensor, judged: Tensor, tolerance: float, generator: torch.Generator
) -> tuple[Choice, Tensor]:
    """The restart with the lowest D over walks, and its log p(y|x), [n, clusters]."""
    ends = _step(torch.arange(len(x), device=x.device), walks, generator)
    log_probs = read(x)
    certificates = (_loss(log_probs, log_probs[:, ends]) - math.log(log_probs.shape[-1])).tolist()
    best = min(range(len(certificates)), key=certificates.__getitem__)
    others = [k for k, gap in enumerate(certificates) if k != best and gap < tolerance]
    return Choice(best, certificates, log_probs[others][:, judged].argmax(-1)), log_probs[best]


def _head_of(network: ImageNetwork) -> list[nn.Parameter]:
    return [*network.projector.parameters(), *network.head.parameters()]


def _loss(log_probs: Tensor, view_log_probs: Tensor, prior: float = 1.0) -> Tensor:
    """L_INV + prior * L_PRIOR, the mean over both directions: [H, n, clusters] twice -> [H]."""
    log_prior = uniform_log_prior(log_probs.shape[-1]).to(log_probs)
    pairs = ((log_probs, view_log_probs), (view_log_probs, log_probs))
    return torch.stack([invariance_loss(*pair) + prior * prior_loss(pair[0], log_prior) for pair in pairs]).mean(0)


@torch.no_grad()
def _read_unscaled(network: ImageNetwork, mean: Tensor, spread: Tensor) -> None:
    """Let the projector read features as they are, after it learned from (features - mean) / spread."""
    first = network.projector[0]
    assert isinstance(first, torch.nn.Linear)
    first.weight.div_(spread)
    first.bias.sub_(first.weight @ mean)
