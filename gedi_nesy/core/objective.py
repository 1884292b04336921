"""The objective, a sum of named, weighted terms, and what their distance from the optimum says about failure modes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from scipy.special import chdtri
from torch import Tensor

from gedi_nesy.core.losses import invariance_loss, prior_divergence, prior_loss
from gedi_nesy.core.losses.prior import log_mean_prediction
from gedi_nesy.core.schedule import Points, Schedule


class Objective:
    """A weighted sum of named losses, L = sum_i w_i(progress) L_i.

    Args:
        weights: each term's weight: a number, or the points of a schedule over the progress in [0, 1].
        optima: the least value, in nats, of each term where it is known.

    Raises:
        ValueError: if there is no term, or an optimum belongs to none.

    Example:
        >>> objective = Objective({"gen": 1.0, "prior": [[0, 400], [1, 40]]}, optima={"prior": math.log(10)})
        >>> objective({"gen": torch.tensor(1.0), "prior": torch.tensor(3.0)}, progress=0.5)
        tensor(661.)
    """

    def __init__(
        self, weights: Mapping[str, float | Points | Schedule], optima: Mapping[str, float] | None = None
    ) -> None:
        unknown = sorted(set(optima or {}) - set(weights))
        if not weights or unknown:
            raise ValueError(
                f"An objective needs a weight for each term; the weights are {dict(weights)}, with optima of {unknown}."
            )
        self.schedules = {name: Schedule.of(weight) for name, weight in weights.items()}
        self.active = frozenset(name for name, schedule in self.schedules.items() if not schedule.is_zero)
        self.optima = {name: value for name, value in (optima or {}).items() if name in self.active}

    def weights(self, progress: float) -> dict[str, float]:
        """The weight at a progress in [0, 1] of each active term, whose weight is not always 0."""
        return {name: schedule(progress) for name, schedule in self.schedules.items() if name in self.active}

    def __call__(self, losses: Mapping[str, Tensor], progress: float) -> Tensor:
        """The weighted total at a progress in [0, 1]; a loss with one value for each restart counts with their sum.

        A term may be missing in a step, as L_GEN is where its chains move only every few steps.

        Raises:
            ValueError: if a loss belongs to no term.
        """
        weights = self.weights(progress)
        unknown = sorted(set(losses) - set(self.schedules))
        if unknown:
            raise ValueError(
                f"The objective has the terms {sorted(self.schedules)}, and none for the losses {unknown}."
            )
        return torch.stack([weights[name] * loss.sum() for name, loss in losses.items() if weights.get(name)]).sum()


@dataclass(frozen=True)
class Diagnosis:
    """Which of the paper's three failure modes predictions show (Section 3, Theorem 1, Proposition 1), and doubts.

    Attributes:
        certificate: D = L_INV + L_PRIOR - H(prior) >= 0, in nats; 0 exactly when predictions are certain, equal under
            augmentation and balanced as the prior says. By Proposition 1, D near 0 rules out all three failures.
        imbalance: KL(prior || mean prediction), in nats: cluster collapse.
        inconsistency: mean KL(p(.|x') || p(.|x)), in nats: label inconsistency.
        information: mutual information of image and label, in nats; near 0 every image gets the same prediction, as
            with a collapsed representation.
        failures: reasons for doubt: the failure modes that the predictions show, and "uncertain predictions". An
            imbalance that chance explains, given the number of images, is none.
    """

    certificate: float
    imbalance: float
    inconsistency: float
    information: float
    failures: tuple[str, ...]


# Nats, for imbalance and for inconsistency, each by itself. It is no limit for D: on toys a run with wrong clusters
# had a D of 0.013 (`vision.certificate`).
TOLERANCE = 0.03
UNCERTAIN = 0.1  # of the prior's entropy: predictions that hedge between symbols are no symbols yet


@torch.no_grad()
def diagnose(log_probs: Tensor, view_log_probs: Tensor, log_prior: Tensor) -> Diagnosis:
    """Compare L_INV + L_PRIOR with its known optimum and name what keeps it away.

    Args:
        log_probs: log p(y|x), shape [batch, classes].
        view_log_probs: log p(y|x') of the same images augmented, shape [batch, classes].
        log_prior: log of the marginal that the labels should have, shape [classes].
    """
    entropy_of_prior = -(log_prior.exp() * log_prior).sum()
    imbalance = prior_loss(log_probs, log_prior) - entropy_of_prior
    inconsistency = (view_log_probs.exp() * (view_log_probs - log_probs)).sum(-1).mean()
    log_mean = log_mean_prediction(log_probs)
    information = (log_probs.exp() * (log_probs - log_mean)).sum(-1).mean()
    certificate = invariance_loss(view_log_probs, log_probs) + imbalance
    uncertainty = certificate - imbalance - inconsistency  # the mean entropy of a view's prediction
    # Twice n times the divergence of a sample of n from its prior follows a chi-squared distribution: a rare label that
    # a few images happen not to have is no collapse.
    chance = chdtri(log_probs.shape[-1] - 1, 0.001) / (2 * len(log_probs))
    significant = prior_divergence(log_probs, log_prior) > chance
    failures = {
        # Half of the prior's entropy: far above the noise of a batch, far below what a working classifier carries.
        "representation collapse": bool(information < 0.5 * entropy_of_prior),
        "cluster collapse": bool(significant and imbalance > TOLERANCE),
        "label inconsistency": bool(inconsistency > TOLERANCE),
        "uncertain predictions": bool(uncertainty > UNCERTAIN * entropy_of_prior),
    }
    return Diagnosis(
        certificate=certificate.item(),
        imbalance=imbalance.item(),
        inconsistency=inconsistency.item(),
        information=information.item(),
        failures=tuple(name for name, applies in failures.items() if applies),
    )


def uniform_log_prior(classes: int, device: torch.device | None = None) -> Tensor:
    """log of the uniform distribution, shape [classes]; made on the device, by default the CPU."""
    return torch.full((classes,), -math.log(classes), device=device)
