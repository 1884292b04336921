"""What finished networks can say about themselves without labels, and the choice among restarts by it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core.energy_check import EnergyCheck
from gedi_nesy.core.metrics import score
from gedi_nesy.core.modes import evaluating
from gedi_nesy.core.objective import Diagnosis, diagnose, uniform_log_prior
from gedi_nesy.vision.networks import AnyNetworks, in_parts
from gedi_nesy.vision.views import AnyInputs, ImageInputs

# Nats. On toys runs with the right clusters had a D of 0.0001 to 0.004 or, where walks cross a gap, above 0.05, and the
# lowest D of a run with wrong ones was 0.013.
TOLERANCE = 0.01
AGREED = 0.97  # of the points: two good restarts that differ on more are two different clusterings
# For restarts on what walks of images go by, whose D has no warps in it. By features, of 24 on two seeds of MNIST the
# four with a D below it had 0.957 of the test digits right or more; all others had a D above 0.076 and 0.931 or fewer.
# By shape, of 32 on two seeds the six with a D below it had 0.983 of the training digits right or more; all others had
# a D above 0.177 and 0.885 or fewer.
TOLERANCE_BY_FEATURES, TOLERANCE_BY_SHAPE = 0.07, 0.1
AGREED_OF_WALKS = 0.95  # the network learns on after its restarts, so that it agrees with good ones on less
ENDLESS = "samples leave the finite numbers"


@dataclass(frozen=True, eq=False)
class Choice:
    """The restart of a data set that is kept, the one with the lowest certificate D.

    Attributes:
        best: its number.
        certificates: D of every restart, in nats.
        others: clusters of the judged points by every other restart with D below the tolerance, int64 [others, n].
    """

    best: int
    certificates: list[float]
    others: Tensor


def judged_rows(inputs: AnyInputs, generator: torch.Generator) -> Tensor:
    """The numbers of the points that networks are judged on, the same for equal generators."""
    return torch.randperm(inputs.count, generator=generator, device=inputs.x.device)[: inputs.judged[0]]


@torch.no_grad()
def predict(networks: AnyNetworks, inputs: AnyInputs) -> tuple[Tensor, Tensor]:
    """Log-probabilities of training points, [K, n, clusters], and of some views of each, [K, views * n, clusters].

    The points and views are the same for equal inputs, whatever was drawn before.
    """
    generator, count = torch.Generator(inputs.x.device).manual_seed(0), inputs.judged[1]
    rows = judged_rows(inputs, generator).expand(networks.count, -1)
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
    certificates = [diagnosis.certificate for diagnosis in _diagnose(log_probs, view_log_probs)]
    labels = log_probs.argmax(-1)
    restarts = networks.count // len(inputs.x)
    return [
        _choose(certificates[first : first + restarts], labels[first : first + restarts])
        for first in range(0, networks.count, restarts)
    ]


def certify(
    networks: AnyNetworks, inputs: AnyInputs, choices: Sequence[Choice], energies: Sequence[EnergyCheck | None] = ()
) -> list[dict[str, Any]]:
    """The verdict on the chosen network of each data set, whatever it was trained on afterwards.

    It is certified when the diagnosis names no failure, D is below the tolerance (by Proposition 1 none of the three
    failures is possible then), and another restart with as good a D has the same clusters: where views leave a cluster
    in pieces, several ways to put the pieces together have the same D.

    Warps leave the views of images that walk uncertain, even when all is well. There D and the other restarts are taken
    on the features, and of the diagnosis only a collapse counts.

    Where energies of images were checked (`vision.energies`), one that does not model them is a reason for doubt, too.

    `failures` names every reason for doubt. That there is a single restart is neither a reason nor evidence.
    """
    log_probs, view_log_probs = predict(networks, inputs)
    diagnoses = _diagnose(log_probs, view_log_probs)
    walked = isinstance(inputs, ImageInputs) and inputs.walks is not None
    verdicts = [_verdict(*each, walked) for each in zip(diagnoses, log_probs, choices, strict=True)]
    return [_with_energy(*both) for both in zip(verdicts, energies, strict=True)] if energies else verdicts


def _with_energy(verdict: Mapping[str, Any], energy: EnergyCheck | None) -> dict[str, Any]:
    failures = energy.failures if energy else (ENDLESS,)
    figures = {
        "certified": verdict["certified"] and not failures,
        "failures": [*verdict["failures"], *failures],
    }
    if energy:
        figures |= {
            "energy_gap": energy.gap,
            "sample_variety": energy.variety,
            "missing_symbols": energy.missing,
            "sample_distance": energy.distance,
        }
    return {**verdict, **figures}


def _verdict(diagnosis: Diagnosis, log_probs: Tensor, choice: Choice, walked: bool) -> dict[str, Any]:
    agreement = _agreement(log_probs.argmax(-1), choice.others, log_probs.shape[-1])
    failures = [name for name in diagnosis.failures if not walked or name.endswith("collapse")]
    failures += _unclear(diagnosis, agreement, choice, walked, named=bool(failures))
    return {
        "certified": not failures and agreement is not None,
        "failures": failures,
        "restart_agreement": agreement,
        "D": diagnosis.certificate,
        "diagnosis": asdict(diagnosis),
    }


def _unclear(diagnosis: Diagnosis, agreement: float | None, choice: Choice, walked: bool, named: bool) -> list[str]:
    """What speaks against the clusters of the chosen restart, beside what the diagnosis has `named`."""
    if not walked and diagnosis.certificate >= TOLERANCE:
        return [] if named else [f"a D of {TOLERANCE:g} nats or more, most of it {_largest(diagnosis)}"]
    if agreement is None:
        return ["fewer than two restarts with a D low enough"] if len(choice.certificates) > 1 else []
    return [] if agreement >= (AGREED_OF_WALKS if walked else AGREED) else ["restarts that disagree"]


def _largest(diagnosis: Diagnosis) -> str:
    """The failure that the largest part of D is of."""
    parts = {"cluster collapse": diagnosis.imbalance, "label inconsistency": diagnosis.inconsistency}
    parts["uncertain predictions"] = diagnosis.certificate - sum(parts.values())
    return max(parts, key=parts.__getitem__)


def _agreement(labels: Tensor, others: Tensor, clusters: int) -> float | None:
    """The least share of points that another puts into the same cluster, renamed to fit; None if there is no other."""
    return min((score(other, labels, clusters).cluster_accuracy for other in others), default=None)


def _diagnose(log_probs: Tensor, view_log_probs: Tensor) -> list[Diagnosis]:
    prior = uniform_log_prior(log_probs.shape[-1]).to(log_probs)
    repeated = log_probs.repeat(1, view_log_probs.shape[1] // log_probs.shape[1], 1)
    return [diagnose(*pair, prior) for pair in zip(repeated, view_log_probs, strict=True)]


def _choose(certificates: Sequence[float], labels: Tensor) -> Choice:
    best = min(range(len(certificates)), key=certificates.__getitem__)
    others = [k for k, gap in enumerate(certificates) if gap < TOLERANCE and k != best]
    return Choice(best, list(certificates), labels[others])
