"""What finished networks can say about themselves without labels, and the choice among restarts by it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core.metrics import score
from gedi_nesy.core.objective import Diagnosis, diagnose, uniform_log_prior
from gedi_nesy.vision.networks import AnyNetworks, evaluating, in_parts
from gedi_nesy.vision.views import AnyInputs

# Nats. On toys the runs that found the clusters had a D of .0001 to .004 or, where walks cross a gap, above .05, and
# the lowest of a run that had not was .013.
TOLERANCE = 0.01
AGREED = 0.97  # of the points: two good restarts that differ on more have found two different clusterings


@dataclass(frozen=True)
class Choice:
    """The restart of a data set that is kept, the one with the lowest certificate D.

    Attributes:
        best: its number.
        certificates: D of every restart, in nats.
        agreement: the least share of points that another restart with D below the tolerance puts into the same cluster,
            clusters being renamed to fit; None if there is no other.
    """

    best: int
    certificates: list[float]
    agreement: float | None


@torch.no_grad()
def predict(networks: AnyNetworks, inputs: AnyInputs) -> tuple[Tensor, Tensor]:
    """Log-probabilities of training points, [K, n, clusters], and of some views of each, [K, views * n, clusters].

    The points and views are the same for equal inputs, whatever was drawn before.
    """
    generator, (most, count) = torch.Generator(inputs.x.device).manual_seed(0), inputs.judged
    rows = torch.randperm(inputs.count, generator=generator, device=inputs.x.device)[:most].expand(networks.count, -1)
    views = torch.cat([inputs.view(rows, generator) for _ in range(count)], 1)
    with evaluating(networks):
        logits, view_logits = (in_parts(networks, x, inputs.part) for x in (inputs.points(rows), views))
    return logits.log_softmax(-1), view_logits.log_softmax(-1)


def diagnose_networks(networks: AnyNetworks, inputs: AnyInputs) -> list[Diagnosis]:
    """The triad diagnosis of each network, with a uniform prior."""
    return _diagnose(*predict(networks, inputs))


def choose(networks: AnyNetworks, inputs: AnyInputs) -> list[Choice]:
    """For each data set the restart with the lowest certificate."""
    log_probs, view_log_probs = predict(networks, inputs)
    certificates = [found.certificate for found in _diagnose(log_probs, view_log_probs)]
    labels, clusters = log_probs.argmax(-1), log_probs.shape[-1]
    restarts = networks.count // len(inputs.x)
    return [
        _choose(certificates[first : first + restarts], labels[first : first + restarts], clusters)
        for first in range(0, networks.count, restarts)
    ]


def certificate(diagnosis: Diagnosis, choice: Choice) -> dict[str, Any]:
    """The verdict on a finished network.

    It is certified when the diagnosis names no failure, D is below the tolerance (by Proposition 1 none of the three
    failures is possible then), and another restart with as good a D has found the same clusters: where views leave a
    cluster in pieces, several ways to put them together have the same D.
    """
    agreed = choice.agreement is not None and choice.agreement >= AGREED
    return {
        "certified": not diagnosis.failures and diagnosis.certificate < TOLERANCE and agreed,
        "failures": list(diagnosis.failures),
        "restart_agreement": choice.agreement,
        "D": diagnosis.certificate,
        "diagnosis": asdict(diagnosis),
    }


def _diagnose(log_probs: Tensor, view_log_probs: Tensor) -> list[Diagnosis]:
    prior = uniform_log_prior(log_probs.shape[-1]).to(log_probs)
    repeated = log_probs.repeat(1, view_log_probs.shape[1] // log_probs.shape[1], 1)
    return [diagnose(*pair, prior) for pair in zip(repeated, view_log_probs, strict=True)]


def _choose(certificates: Sequence[float], labels: Tensor, clusters: int) -> Choice:
    best = min(range(len(certificates)), key=certificates.__getitem__)
    others = [k for k, gap in enumerate(certificates) if gap < TOLERANCE and k != best]
    shares = [score(labels[k], labels[best], clusters).cluster_accuracy for k in others]
    return Choice(best, list(certificates), min(shares, default=None))
