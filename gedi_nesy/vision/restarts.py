"""Restarts of the clustering alone: many projectors and heads on the features of one network, in seconds."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gedi_nesy.core.losses import invariance_loss, prior_loss
from gedi_nesy.core.objective import uniform_log_prior
from gedi_nesy.vision.certificate import TOLERANCE_OF_WALKS, Choice
from gedi_nesy.vision.image_network import ImageNetwork, ImageNetworks

STEPS, BATCH = 400, 500
RATE = 3e-3  # Adam's greatest learning rate; it rises for a twentieth of the steps and falls like a cosine


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
    train_heads(networks, x, walks, generator)
    with torch.no_grad():
        ends = _step(torch.arange(len(x), device=x.device), walks, generator)
        log_probs = _log_probs(networks, x)
        certificates = (_loss(log_probs, log_probs[:, ends]) - math.log(log_probs.shape[-1])).tolist()
    best = min(range(networks.count), key=certificates.__getitem__)
    others = [k for k in range(networks.count) if k != best and certificates[k] < TOLERANCE_OF_WALKS]
    labels = log_probs[:, judged].argmax(-1)
    network = networks.members[best]
    _read_unscaled(network, mean, spread)
    return Found(Choice(best, certificates, labels[others]), network)


def train_heads(networks: ImageNetworks, x: Tensor, walks: Tensor, generator: torch.Generator) -> None:
    """Let projectors and heads tell clusters apart that walks do not leave.

    Args:
        networks: H of them.
        x: features [n, F] with mean 0 and deviation 1.
        walks: [n, ENDS].
        generator: source of the batches.
    """
    parameters = [*(p for one in networks.members for part in (one.projector, one.head) for p in part.parameters())]
    optimizer = torch.optim.Adam(parameters, fused=True)
    for step in range(1, STEPS + 1):
        done = step / STEPS
        rise, fall = min(1.0, 20 * done), 0.5 * (1 + math.cos(math.pi * done))
        optimizer.param_groups[0]["lr"] = RATE * rise * fall
        rows = torch.randint(len(x), (BATCH,), generator=generator, device=x.device)
        both = torch.cat([x[rows], x[_step(rows, walks, generator)]])
        log_probs, view_log_probs = _log_probs(networks, both).split(BATCH, 1)
        optimizer.zero_grad()
        _loss(log_probs, view_log_probs).sum().backward()
        optimizer.step()


def _step(rows: Tensor, walks: Tensor, generator: torch.Generator) -> Tensor:
    """Where one of the walks from each of these images ended."""
    which = torch.randint(walks.shape[1], rows.shape, generator=generator, device=rows.device)
    return walks[rows, which].long()


def _log_probs(networks: ImageNetworks, x: Tensor) -> Tensor:
    """[n, F] -> [H, n, clusters]."""
    return networks.classify(networks.project(x.expand(networks.count, *x.shape))).log_softmax(-1)


def _loss(log_probs: Tensor, view_log_probs: Tensor) -> Tensor:
    """L_INV + L_PRIOR, the mean over both directions: [H, n, clusters] twice -> [H]."""
    prior = uniform_log_prior(log_probs.shape[-1]).to(log_probs)
    pairs = ((log_probs, view_log_probs), (view_log_probs, log_probs))
    return torch.stack([invariance_loss(one, other) + prior_loss(one, prior) for one, other in pairs]).mean(0)


@torch.no_grad()
def _read_unscaled(network: ImageNetwork, mean: Tensor, spread: Tensor) -> None:
    """Let the projector read features as they are, after it learned from (features - mean) / spread."""
    first = network.projector[0]
    assert isinstance(first, torch.nn.Linear)
    first.weight.div_(spread)
    first.bias.sub_(first.weight @ mean)
