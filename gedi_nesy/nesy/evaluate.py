"""Scores of a trained run on the whole test set, and the diagnosis of its predictions without labels."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gedi_nesy.core.metrics import Calibration, Scores, calibrate, score
from gedi_nesy.core.objective import Diagnosis, diagnose
from gedi_nesy.data import Images
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Key
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.credible import credibility
from gedi_nesy.nesy.cut import cut_test_examples
from gedi_nesy.nesy.examples import Examples, draw_examples, naming_calls
from gedi_nesy.nesy.joint import AnyLoader, load_examples
from gedi_nesy.nesy.losses import network_log_prior
from gedi_nesy.nesy.predictions import of_variables, predict_batch, predict_log_probs
from gedi_nesy.nesy.queries import Rule, parts_of
from gedi_nesy.nesy.reading import Reading, Readings
from gedi_nesy.nesy.recipe import Stage
from gedi_nesy.views.drawings import add_noise

DIAGNOSED = 200  # examples that a diagnosis looks at
VIEW_NOISE = 0.2  # the paper's T(x'|x) on MNIST adds Gaussian noise of this deviation (Appendix O)


@dataclass(frozen=True)
class Judged:
    """What labels say of a network's predictions and of their probabilities."""

    scores: Scores
    calibration: Calibration


def score_network(
    net: nn.Module, domain: tuple[object, ...], images: Images, reading: Reading, device: torch.device
) -> Judged:
    """Score a network on all test images whose class is one of its symbols."""
    symbol_of_class = torch.full((len(images.classes),), -1)
    for index, symbol in enumerate(domain):
        symbol_of_class[images.classes.index(str(symbol))] = index
    labels = symbol_of_class[images.y_test]
    known = labels >= 0
    inputs = reading.scale.to_inputs(images.x_test[known].to(device))
    log_probs = predict_log_probs(net, inputs)
    return Judged(score(log_probs.argmax(-1), labels[known], len(domain)), calibrate(log_probs, labels[known]))


@dataclass(frozen=True)
class Fit:
    """How each of N examples fits the rule.

    Attributes:
        symbols: for each variable the index of its predicted symbol, [N].
        satisfied: P(rule | predicted symbols), [N]: 1 or 0, unless the rule itself has probabilities.
        sure: the probability of the least sure of its symbols, [N].
        log_prob: log P(rule | images), [N], in nats.
        credible: as from `credibility`, [N]; of networks that have learned a wrong example by heart it says more. It is
            `log_prob` where no stage says what a view is.
        answered: whether the given value of each argument, or of each element of a list, is the most probable one,
            summed over all symbols, [N]; None where the rule has no arguments.
    """

    symbols: dict[Key, Tensor]
    satisfied: Tensor
    sure: Tensor
    log_prob: Tensor
    credible: Tensor
    answered: Tensor | None

    def figures(self, prefix: str) -> dict[str, float]:
        """The means over the examples, by their names in `summary.json`, for the prefix "train_" or "test_"."""
        own = "" if prefix == "test_" else prefix
        answered = {} if self.answered is None else {f"{own}answer_accuracy": self.answered.float().mean().item()}
        return {
            f"{own}constraint_satisfaction": self.satisfied.mean().item(),
            **answered,
            f"{prefix}constraint_log_likelihood": self.log_prob.mean().item(),
        }


@dataclass(frozen=True)
class Fitted:
    """A query, examples of it, and how each of them fits it."""

    constraint: Constraint
    loader: Loader
    fit: Fit


def fit_all(networks: nn.ModuleDict, rule: Rule, loader: AnyLoader, stage: Stage | None = None) -> list[Fitted]:
    """How the examples of each query fit it, and how credible each is, where a stage says what a view is."""
    pairs = zip(parts_of(rule), loader.parts, strict=True)
    return [Fitted(part, own, fit_to_rule(networks, part, own, stage=stage)) for part, own in pairs]


def rule_figures(parts: Sequence[Fitted], prefix: str) -> dict[str, Any]:
    """The `figures` of the fit, the means over all examples; of several queries under `queries` also those of each."""
    each = [part.fit.figures(prefix) for part in parts]
    if len(parts) == 1:
        return dict(each[0])
    sizes = [len(part.loader) for part in parts]
    figures: dict[str, Any] = {}
    for key in dict.fromkeys(key for own in each for key in own):
        counted = [(own[key], n) for own, n in zip(each, sizes, strict=True) if key in own]
        figures[key] = sum(value * n for value, n in counted) / sum(n for _, n in counted)
    goals = [str(part.constraint.query.goal) for part in parts]
    own = {goal: {"examples": n, **own} for goal, n, own in zip(goals, sizes, each, strict=True)}
    return figures | {"queries": own}


@torch.no_grad()
def fit_to_rule(networks: nn.ModuleDict, constraint: Constraint, loader: Loader, stage: Stage | None = None) -> Fit:
    """How each example fits the rule, and how credible it is, where a stage says what a view is."""
    batch, answers = loader.batch(torch.arange(len(loader))), loader.answers
    log_probs = of_variables(batch, predict_batch(networks, batch))
    log_prob = constraint.log_prob(log_probs, answers)
    credible = log_prob if stage is None else credibility(networks, constraint, loader, stage)
    # all the mass on the predicted symbol: the rule then has probability 1 or 0
    certain = {key: _one_hot_log_probs(values) for key, values in log_probs.items()}
    with warnings.catch_warnings(action="ignore"):  # that a wrong prediction makes the rule impossible
        satisfied = constraint.log_prob(certain, answers).exp()
    symbols = {key: values.argmax(-1) for key, values in log_probs.items()}
    answered = None if answers is None else _are_answered(constraint, log_probs, answers)
    sure = torch.stack([values.amax(-1) for values in log_probs.values()]).amin(0).exp()
    return Fit(symbols, satisfied, sure, log_prob, credible, answered)


def _are_answered(constraint: Constraint, log_probs: dict[Key, Tensor], answers: Tensor) -> Tensor:
    """Whether the arguments with these numbers, int64 [N, arguments], are each the most probable, [N]."""
    posteriors = [own for elements in constraint.answer_posterior(log_probs).values() for own in elements]
    # a last column is for all other values, which are all there are where the rule never looks at an argument
    predicted = [F.pad(own, (0, 1), value=-torch.inf).argmax(-1) for own in posteriors]
    return (torch.stack(predicted, 1) == answers).all(1)


def _one_hot_log_probs(log_probs: Tensor) -> Tensor:
    return torch.full_like(log_probs, -torch.inf).scatter(-1, log_probs.argmax(-1, keepdim=True), 0.0)


@torch.no_grad()
def diagnose_networks(
    networks: nn.ModuleDict, marginals: Mapping[Key, Tensor], loader: AnyLoader
) -> dict[str, Diagnosis]:
    """The triad diagnosis of each network on training images under the paper's T(x'|x); no label is looked at.

    Args:
        networks: by their names in the program.
        marginals: that each variable's symbols should have, [classes]: the rule's, or the data's.
        loader: the training examples.
    """
    generator = torch.Generator(loader.device).manual_seed(0)
    few = loader.some(DIAGNOSED)
    batch = few.batch(torch.arange(len(few)))
    return {
        name: diagnose(
            predict_log_probs(networks[name], images),
            predict_log_probs(networks[name], add_noise(images, VIEW_NOISE, generator)),
            network_log_prior(marginals, {key: len(batch.rows[key]) for key in batch.keys[name]}).to(images.device),
        )
        for name, images in batch.images.items()
    }


@dataclass(frozen=True)
class Evaluation:
    """How good a run is.

    Attributes:
        figures: for `summary.json`.
        networks: of each whose symbols are classes of labelled images, what labels say.
        parts: for each query the examples that it was evaluated on, and how they fit it.
    """

    figures: dict[str, Any]
    networks: Mapping[str, Judged]
    parts: Sequence[Fitted]


def evaluate_networks(
    networks: nn.ModuleDict,
    rule: Rule,
    images: Images,
    readings: Readings,
    device: torch.device,
    each_once: bool = False,
) -> Evaluation:
    """Evaluate on the test images.

    The figures of the first network whose symbols are classes of the images are at the top level. What another network
    reads shows in the rule's figures only. Examples of the rule are drawn from the test images, or use `each_once`.
    """
    naming = [naming_calls(part, images.classes) for part in parts_of(rule)]
    domains = {call.network: call.domain for calls in naming for call in calls.values()}
    judged = {name: score_network(networks[name], domains[name], images, readings[name], device) for name in domains}
    own: dict[str, Any] = {name: _figures(one) for name, one in judged.items()}
    examples = examples_for_test(rule, images, each_once)
    parts = fit_all(networks, rule, load_examples(examples, rule, readings, device))
    figures = next(iter(own.values())) | rule_figures(parts, "test_") | ({"networks": own} if len(own) > 1 else {})
    return Evaluation(figures, judged, parts)


def examples_for_test(rule: Rule, images: Images, each_once: bool) -> list[Examples]:
    """Examples of each query from the test images, drawn, or cut such that a query uses each image once.

    Raises:
        UserError: as `draw_test_examples` or `cut_test_examples`.
    """
    return [(cut_test_examples if each_once else draw_test_examples)(part, images) for part in parts_of(rule)]


def draw_test_examples(constraint: Constraint, images: Images) -> Examples:
    """Examples of the rule from the test images, one for every five images and always the same ones.

    Raises:
        UserError: if a symbol of the rule has no test image, or there are fewer than five.
    """
    n = len(images.x_test) // 5
    if not n:
        raise UserError(f"{images.name} has {len(images.x_test)} test images; scoring needs five or more.")
    generator = torch.Generator().manual_seed(0)
    return draw_examples(constraint, images.x_test, images.y_test, images.classes, n, generator)


def _figures(judged: Judged) -> dict[str, float]:
    scores = judged.scores
    return {
        "accuracy": scores.accuracy,
        "nmi": scores.nmi,
        "ami": scores.ami,
        "cluster_accuracy": scores.cluster_accuracy,
        "ece": judged.calibration.ece,
    }
