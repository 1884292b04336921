"""Which restart to trust, without labels: the rule's likelihood under augmentation, and whom the others agree with."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core.objective import Diagnosis
from gedi_nesy.errors import UserError
from gedi_nesy.logic.ground import Key
from gedi_nesy.nesy.batch import predict, rule_log_prob, rule_posterior
from gedi_nesy.nesy.candidates import Candidates
from gedi_nesy.nesy.evaluate import diagnose_networks
from gedi_nesy.nesy.joint import AnyLoader
from gedi_nesy.nesy.losses import Targets
from gedi_nesy.nesy.queries import Rule
from gedi_nesy.nesy.recipe import Recipe

CHUNK = 1000  # examples evaluated at a time
BLOCK = 120  # images that a network reads at a time, so few that their memory stays in the cache
# Restarts with the true symbols agreed on 0.98 and more of the images, restarts in different traps on 0.36 to 0.96.
AGREED = 0.97


@dataclass(frozen=True)
class RestartScores:
    """Likelihoods and posteriors of each restart on augmented views of the training examples.

    They are kept after the restarts' networks are freed.

    Attributes:
        nll: for each restart -log P(rule | images), the mean over training examples and their views, in nats.
        posteriors: for each variable p(y | rule, images), summed over views, [restarts, examples, classes].
        rules: for each restart the rule's state dict, with the probabilities it learned.
        collapsed: for each restart whether it is sure that all images show the same.
    """

    nll: list[float]
    posteriors: dict[Key, Tensor]
    rules: list[dict[str, Any]]
    collapsed: list[bool]


@dataclass(frozen=True)
class Selection:
    """Which restart is the best, and which ones agree with it.

    Attributes:
        nll: for each restart -log P(rule | images), the mean over training examples and their views, in nats.
        best: the restart with the lowest nll; a network trapped in wrong symbols has not yet memorised its examples.
        agreement: for each restart the share of training images to which it gives the best one's symbol.
        kept: the restarts that teach the student.
    """

    nll: list[float]
    best: int
    agreement: list[float]
    kept: list[int]

    def to_dict(self) -> dict[str, Any]:
        """For summary.json and the checkpoint."""
        return asdict(self)

    @property
    def support(self) -> float | None:
        """The best agreement that any other restart has with the chosen one; None if there was only one."""
        others = [share for k, share in enumerate(self.agreement) if k != self.best]
        return max(others) if others else None

    @property
    def lead(self) -> float | None:
        """By how many nats the best fits the rule better than restarts with other symbols; None if there are none."""
        others = [nll for k, nll in enumerate(self.nll) if k not in self.kept]
        return min(others) - self.nll[self.best] if others else None

    @property
    def agreed(self) -> bool:
        """Whether another restart has the symbols of the chosen one; trapped restarts seldom share a trap."""
        return self.support is not None and self.support >= AGREED


@torch.no_grad()
def score_restarts(
    candidates: Candidates,
    rule: Rule,
    loader: AnyLoader,
    recipe: Recipe,
    marginals: Sequence[Mapping[Key, Tensor]] = (),
) -> RestartScores:
    """Judge restarts on augmented views of the training examples, the same views each time; no label is looked at."""
    generator = torch.Generator(loader.device).manual_seed(recipe.seed)
    nll = torch.zeros(len(candidates))
    posteriors: dict[Key, Tensor] = {}  # [K, examples, classes], summed over views
    for _ in range(recipe.views):
        log_prob, view_posteriors = _one_view(candidates, rule, loader, recipe, generator)
        nll -= log_prob.mean(1).cpu() / recipe.views
        for key, values in view_posteriors.items():
            posteriors[key] = posteriors[key] + values if key in posteriors else values
    rules, expected = candidates.rules(rule), marginals or [rule.marginals()]
    states = [rules[k % len(rules)].state_dict() for k in range(len(candidates))]
    collapsed = [
        _has_collapsed(diagnose_networks(candidates.networks(k), expected[k % len(expected)], loader))
        for k in range(len(nll))
    ]
    return RestartScores(nll.tolist(), posteriors, states, collapsed)


def _has_collapsed(networks: Mapping[str, Diagnosis]) -> bool:
    """Whether a network tells nothing apart and is sure of it: one that is unsure may only be at its beginning."""
    doubts = [set(diagnosis.failures) for diagnosis in networks.values()]
    return any("representation collapse" in failures and "uncertain predictions" not in failures for failures in doubts)


def check_not_collapsed(scores: RestartScores, selection: Selection) -> None:
    """Refuse to teach a student that all images show the same.

    Raises:
        UserError: if the chosen restart has collapsed.
    """
    if scores.collapsed[selection.best]:
        raise UserError(
            "The first stage has collapsed: its best network calls all images the same, which satisfies the rule and "
            "teaches nothing, so the run stops here. Start a new one with another --seed, more examples, longer "
            "(--set train.steps=3000), or with a larger prior (--set train.weights.prior=400); if all of these "
            "collapse, ask `gedi-nesy check` what the rule can teach."
        )


def select_restart(scores: RestartScores, recipe: Recipe) -> tuple[Selection, Targets]:
    """The restarts to trust, and what they teach the student.

    Returns:
        The selection, and for each variable p(y | rule, images), [examples, classes], averaged over views and kept
        restarts.
    """
    best, posteriors = scores.nll.index(min(scores.nll)), scores.posteriors
    symbols = torch.cat([values.argmax(-1) for values in posteriors.values()], 1)  # [K, calls]
    agreement = (symbols == symbols[best]).float().mean(1)
    kept = [k for k in range(len(scores.nll)) if agreement[k] >= recipe.agreement]
    targets = {key: values[kept].mean(0) / recipe.views for key, values in posteriors.items()}
    return Selection(scores.nll, best, agreement.tolist(), kept), targets


def _one_view(
    candidates: Candidates, rule: Rule, loader: AnyLoader, recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, dict[Key, Tensor]]:
    """On one view of all examples: log P(rule), [K, examples], and the posteriors {key: [K, examples, classes]}."""
    log_probs, posteriors = [], []
    for rows in torch.arange(len(loader)).split(CHUNK):
        view = loader.batch(rows).view(recipe.train, loader.readings, generator)
        logits = view.by_variable(predict(candidates, view, BLOCK))
        inputs = {key: values.log_softmax(-1) for key, values in logits.items()}
        rules = candidates.rules(rule)
        log_probs.append(rule_log_prob(rules, inputs, view.answers))
        posteriors.append(rule_posterior(rules, inputs, view.answers))
    joined = {key: torch.cat([chunk[key] for chunk in posteriors], 1) for key in posteriors[0]}
    return torch.cat(log_probs, 1), joined
