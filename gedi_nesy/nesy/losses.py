"""The losses of one training step of the neuro-symbolic track, and the optimum of each."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from gedi_nesy.core import processes
from gedi_nesy.core.chain.plan import plan
from gedi_nesy.core.chains import Renew
from gedi_nesy.core.fit import DivergedError, Training
from gedi_nesy.core.losses import (
    energy_l2_loss,
    generative_loss,
    invariance_loss,
    negative_entropy_loss,
    prior_divergence,
    prior_loss,
)
from gedi_nesy.core.objective import Objective, uniform_log_prior
from gedi_nesy.core.seeds import mix_seeds, own_seed
from gedi_nesy.core.sgld import SGLD
from gedi_nesy.core.terms import Term, optima, terms_with
from gedi_nesy.errors import UserError
from gedi_nesy.logic.ground import Key
from gedi_nesy.nesy.batch import Batch, predict, rule_log_prob
from gedi_nesy.nesy.candidates import Candidates, Shape
from gedi_nesy.nesy.foreign import DistortedImages
from gedi_nesy.nesy.joint import AnyLoader, JointLoader
from gedi_nesy.nesy.labels import Labels
from gedi_nesy.nesy.queries import Rule
from gedi_nesy.nesy.reading import Reading
from gedi_nesy.nesy.recipe import Recipe, Sampler, Stage
from gedi_nesy.nesy.shares import join_outputs, own_rows
from gedi_nesy.networks.heads import TEMPERATURE
from gedi_nesy.runs.device import send
from gedi_nesy.runs.rollback import Guard
from gedi_nesy.views.drawings import warp_some

Others = Mapping[str, Sequence[Tensor]]  # for each network the inputs that L_GEN tells from its images
Targets = dict[Key, Tensor]  # for each variable a teacher's p(y | rule, images), [examples, classes]


def log_priors(marginals: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
    """For each variable the log of its marginal, [classes].

    Symbols that the rule never uses keep a small probability, so that the divergence stays finite.
    """
    floored = {key: marginal.float().clamp_min(1e-3) for key, marginal in marginals.items()}
    return {key: (marginal / marginal.sum()).log() for key, marginal in floored.items()}


def network_log_prior(marginals: Mapping[Key, Tensor], examples: Mapping[Key, int]) -> Tensor:
    """The log marginal over all images of one network: the mean of its variables' marginals, [classes].

    `examples` says for each of the variables how many examples have it.
    """
    priors = log_priors(marginals)
    total = sum(examples.values())
    return torch.stack([n / total * priors[key].exp() for key, n in examples.items()]).sum(0).log()


def build_objective(stage: Stage, rule: Rule, targets: Targets | None, dim: int) -> Objective:
    """The stage's weighted terms, each with its optimum (paper, Propositions 1 and 2); `dim` is the embeddings'."""
    sizes = {variable.network: len(variable.domain) for variable in rule.variables}
    log_classes = sum(math.log(size) for size in sizes.values()) / len(sizes)
    weights, priors = dict(stage.weights), {"entropy": -log_classes, "uniform": log_classes}
    own = {"prior": priors.get(stage.prior, 0.0), "teacher": None if targets is None else _entropy(targets)}
    return Objective(weights, optima(weights, own, dim))


def _entropy(targets: Targets) -> float:
    entropies = torch.stack([torch.special.entr(target).sum() for target in targets.values()])
    return (entropies.sum() / torch.stack([target.sum() for target in targets.values()]).sum()).item()


class StepLosses:
    """The losses of a step from its number: which examples, their views, the samples, and every active term.

    Each restart has a teacher and marginals of its own, or one serves for all.

    With several processes each has a share of the batch and of the chains, and all have the losses of the whole.
    """

    def __init__(
        self,
        recipe: Recipe,
        stage: Stage,
        rule: Rule,
        loader: AnyLoader,
        training: Training,
        seed: int,
        teachers: Sequence[Targets] = (),
        marginals: Sequence[Mapping[Key, Tensor]] = (),
        labels: Labels = MappingProxyType({}),
    ):
        self.recipe, self.stage, self.rule, self.loader = recipe, stage, rule, loader
        self.training, self.seed = training, seed
        self.targets = {key: torch.stack([own[key] for own in teachers]) for key in teachers[0]} if teachers else None
        self.objective = build_objective(stage, rule, self.targets, recipe.dim)
        self.steps = stage.length(len(loader), loader.calls_each)
        count = recipe.sampler.distorted // processes.count() if recipe.sampler else 0
        self.distorted = DistortedImages(loader, count, stage.noise, own_seed(seed))
        device = loader.device
        self.labelled = {
            name: (loader.readings[name].scale.to_inputs(few.inputs.to(device)), few.symbols.to(device))
            for name, few in labels.items()
        }
        expected = [self._expected(own) for own in marginals or [rule.marginals()]]
        self.log_priors = {key: torch.stack([own[key] for own in expected]).to(device) for key in expected[0]}

    def _expected(self, marginals: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
        """The log prior of each variable; of several queries, whose share of a batch is small, of each network."""
        if not isinstance(self.loader, JointLoader):
            return log_priors(marginals)
        return {name: network_log_prior(marginals, sizes) for name, sizes in self.loader.sizes.items()}

    def __call__(self, step: int) -> dict[str, Tensor]:
        """The losses by term name, each with one value for each restart, [K]."""
        weights = self.objective.weights(step / self.steps)
        batch = self.stage.examples_of(self.loader.calls_each)
        rows = self.loader.step_rows(batch, step, self.seed)
        with self._dropout_of(step):
            return self._losses(step, rows, weights)

    def _losses(self, step: int, rows: Tensor, weights: Mapping[str, float]) -> dict[str, Tensor]:
        """The losses of the terms whose weight is not 0, on these examples."""
        clean = self._share(rows)
        view = self._view(clean)
        others = self._others(step) if weights.get("gen") else {}
        logits, at_others = self._logits(view, others)
        log_probs = {network: values.log_softmax(-1) for network, values in logits.items()}
        terms: dict[str, Callable[[], Tensor]] = {
            "nesy": lambda: self._rule(log_probs, view),
            "prior": lambda: self._prior(log_probs, view),
            "inv": lambda: self._invariance(log_probs, clean),
            "teacher": lambda: self._teacher(view.by_variable(log_probs), view.rows),
            "labels": self._labels,
        }
        views = {name: term for name, term in terms_with(rule=True).items() if term.loss}
        terms |= {name: partial(self._compare_views, term, logits, view, clean) for name, term in views.items()}
        losses = {name: term() for name, term in terms.items() if weights.get(name)}
        return losses | (self._energy_terms(logits, at_others, weights) if others else {})

    def _share(self, rows: Tensor) -> Batch:
        """The images of this process's share of some examples, and the arguments of all."""
        batch = self.loader.batch(rows)
        return batch if processes.count() == 1 else replace(batch, images=self.loader.batch(own_rows(rows)).images)

    @contextmanager
    def _dropout_of(self, step: int) -> Iterator[None]:
        """Inside the block dropout, which draws from torch's global generator, depends on the step's number only."""
        if not (self.stage.dropout or self.recipe.network):
            yield
            return
        device = self.loader.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(mix_seeds(own_seed(self.seed), step))
            yield

    def _logits(self, view: Batch, others: Others) -> tuple[dict[str, Tensor], dict[str, list[Tensor]]]:
        """Each network's logits at its images of the view and, in the same call, at the others; of all processes."""
        joined = {name: torch.cat([x, *others.get(name, ())]) for name, x in view.images.items()}
        with torch.autocast(self.loader.device.type, torch.bfloat16, enabled=self.stage.bf16):
            outputs = {name: f.float() for name, f in predict(self.candidates, replace(view, images=joined)).items()}
        at_data, at_others = {}, {}
        for name, values in outputs.items():
            sizes = [len(x) for x in (view.images[name], *others.get(name, ()))]
            at_data[name], *foreign = values.split(sizes, 1)
            at_others[name] = [processes.join(part, 1) for part in foreign]
        return self._join(view, at_data), at_others

    def _predict(self, batch: Batch) -> dict[str, Tensor]:
        """Each network's logits at the images of a batch, of all processes."""
        return self._join(batch, predict(self.candidates, batch))

    def _join(self, batch: Batch, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Networks' outputs at the shares of all processes, from the outputs at this process's share."""
        return {name: join_outputs(values, len(batch.keys[name]), batch.size) for name, values in outputs.items()}

    def _view(self, clean: Batch) -> Batch:
        """A fresh draw from the stage's T(x'|x)."""
        return clean.view(self.stage, self.loader.readings, self.training.generator)

    @property
    def candidates(self) -> Candidates:
        """The networks in training."""
        assert isinstance(self.training.model, Candidates)
        return self.training.model

    def _rule(self, log_probs: dict[str, Tensor], view: Batch) -> Tensor:
        rules = self.candidates.rules(self.rule)
        return -rule_log_prob(rules, view.by_variable(log_probs), view.answers).mean(1)

    def _prior(self, log_probs: dict[str, Tensor], view: Batch) -> Tensor:
        if self.stage.prior in ("rule", "learned"):
            joint = isinstance(self.loader, JointLoader)
            pooled = log_probs if joint else view.by_variable(log_probs)
            terms = [prior_divergence(values, self.log_priors[key]) for key, values in pooled.items()]
            return torch.stack(terms).mean(0)
        if self.stage.prior == "entropy":
            return torch.stack([negative_entropy_loss(values) for values in log_probs.values()]).mean(0)
        losses = []
        for values in log_probs.values():
            losses.append(prior_loss(values, uniform_log_prior(values.shape[-1], values.device)))
        return torch.stack(losses).mean(0)

    def _invariance(self, view_log_probs: dict[str, Tensor], clean: Batch) -> Tensor:
        log_probs = {network: values.log_softmax(-1) for network, values in self._predict(clean).items()}
        return torch.stack([invariance_loss(view_log_probs[name], log_probs[name]) for name in log_probs]).mean(0)

    def _teacher(self, log_probs: Mapping[Key, Tensor], rows: Mapping[Key, Tensor]) -> Tensor:
        """Cross-entropy CE(teacher, student), the mean over variables and the examples that have a teacher."""
        assert self.targets is not None
        losses, taught = [], []
        for key, values in log_probs.items():
            targets = self.targets[key][:, send(rows[key], self.loader.device)]
            losses.append(-(targets * values).sum((-2, -1)))
            taught.append(targets.sum((-2, -1)))
        return torch.stack(losses).sum(0) / torch.stack(taught).sum(0).clamp_min(1.0)

    def _labels(self) -> Tensor:
        """Cross-entropy on a view of the labelled inputs, the mean over all of them."""
        losses = []
        for name, (inputs, symbols) in self.labelled.items():
            view = self.loader.readings[name].view(inputs, self.stage, self.training.generator)
            log_probs = self.candidates(name, view).log_softmax(-1)  # [K, m, classes]
            losses.append(-log_probs[:, torch.arange(len(symbols), device=symbols.device), symbols])
        return torch.cat(losses, 1).mean(1)

    def _compare_views(self, term: Term, logits: dict[str, Tensor], view: Batch, clean: Batch) -> Tensor:
        """A term that compares the view that has these logits with another view, drawn for it."""
        other = self._view(clean)
        if "prototypes" in term.needs:
            others = self._predict(other)
            cosines = [(TEMPERATURE * logits[name], TEMPERATURE * others[name]) for name in logits]
            return torch.stack([term.of_cosines(*pair, TEMPERATURE) for pair in cosines]).mean(0)
        first, second = self._embeddings(view), self._embeddings(other)
        return torch.stack([term.of_embeddings(first[name], second[name]) for name in first]).mean(0)

    def _embeddings(self, batch: Batch) -> dict[str, Tensor]:
        """Each network's embeddings of the images of a batch, with the batch norm of the shares of all processes."""
        features = {name: self.candidates.features(name, images) for name, images in batch.images.items()}
        return {name: self.candidates.project(name, values) for name, values in self._join(batch, features).items()}

    def _others(self, step: int) -> Others:
        """What L_GEN tells from the data: for each network its samples, and distorted images."""
        samples = {name: chains() for name, chains in self.training.chains.items()}
        if samples:
            gone = torch.stack([~x.isfinite().all() for x in samples.values()]).any().float().view(1)
            self.training.checks.expect(processes.greatest(gone), partial(_check_chains, step))
        if not self.distorted.count:
            return {name: [x] for name, x in samples.items()}
        return {name: [x, self.distorted(name, step)] for name, x in samples.items()}

    def _energy_terms(
        self, logits: Mapping[str, Tensor], others: Mapping[str, Sequence[Tensor]], weights: Mapping[str, float]
    ) -> dict[str, Tensor]:
        """L_GEN of the single restart's networks, and the terms beside it whose weight is not 0."""
        gap = torch.stack([generative_loss(logits[name], others[name][0]) for name in others]).mean(0)
        self.training.checks.expect(gap.detach(), partial(_check_gap, self.recipe.guard, self.training.step))
        terms = {"gen": gap}
        if weights.get("distorted"):
            foreign = [generative_loss(logits[name], others[name][1]) for name in others]
            terms["distorted"] = torch.stack(foreign).mean(0)
        if weights.get("energy_l2"):
            terms["energy_l2"] = torch.stack([energy_l2_loss(logits[name], *others[name]) for name in others]).mean(0)
        return terms


def _check_chains(step: int, gone: Sequence[float]) -> None:
    if gone[0]:
        raise DivergedError(f"step {step}: chains have left the finite numbers")


def _check_gap(guard: Guard, step: int, gap: Sequence[float]) -> None:
    if not abs(gap[0]) <= guard.largest_gap:  # or NaN
        raise DivergedError(f"step {step}: the energies of data and samples are {gap[0]:.3g} nats apart")


def build_sgld(settings: Sampler, reading: Reading, shape: Shape, network: nn.Module) -> SGLD:
    """The recipe's sampler for a network of this shape; torch samples the networks that compiled code can't."""
    clamp = (reading.scale.low, reading.scale.high) if settings.clamp else None
    reference = None if settings.reference is None else reading.reference(settings.reference, shape.images)
    compiled = settings.engine == "numba" and compiles(network, shape.input)
    engine: Literal["torch", "numba"] = "numba" if compiled else "torch"
    return SGLD(settings.steps, settings.step_size, settings.noise, clamp, engine, reference=reference)


def start_ground(settings: Sampler, reading: Reading, shape: Shape) -> Tensor | None:
    """What the noise that chains begin in is drawn towards, if anything."""
    return reading.reference(1.0, shape.images).ground if settings.faint and reading.is_drawing else None


def compiles(network: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether the compiled engine of SGLD knows a network's layers."""
    try:
        plan(network, shape)
    except UserError:
        return False
    return True


def renewal(share: float, reading: Reading) -> Renew | None:
    """The warp of a share of the chains, a little; of drawings only."""
    if not share or not reading.is_drawing:
        return None
    channels, surroundings = reading.shape[0], reading.surroundings
    return lambda chains, generator: warp_some(chains, share, channels, surroundings, generator)
