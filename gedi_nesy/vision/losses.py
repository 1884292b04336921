"""The losses of one training step of the vision track, and the optimum of each."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from gedi_nesy.core import processes
from gedi_nesy.core.energy import frozen
from gedi_nesy.core.fit import DivergedError, Training
from gedi_nesy.core.losses import (
    certain_loss,
    energy_l2_loss,
    generative_loss,
    invariance_loss,
    prior_loss,
)
from gedi_nesy.core.objective import Objective, uniform_log_prior
from gedi_nesy.core.reference import Reference
from gedi_nesy.core.sgld import SGLD
from gedi_nesy.core.terms import Term, optima, terms_with
from gedi_nesy.views.drawings import ground_of_each, warp_some
from gedi_nesy.vision.image_network import ImageNetworks
from gedi_nesy.vision.networks import AnyNetworks
from gedi_nesy.vision.recipe import ChainGuard, Recipe, Sampler, Stage
from gedi_nesy.vision.rounded import Rounded
from gedi_nesy.vision.views import AnyInputs, ImageInputs, find_owners

COMPARED = {name: term for name, term in terms_with(rule=False).items() if term.loss}  # terms of two views
CHAINS = "chains"  # the replay buffer's name in a Training; it holds [capacity, K, ...], a chain of every network a row


def build_objective(stage: Stage, clusters: int, dim: int, targets: Tensor | None = None) -> Objective:
    """The stage's weighted terms, with their known optima (paper, Proposition 1); `dim` is the embeddings'."""
    weights, own = dict(stage.weights), {"prior": math.log(clusters)}
    if targets is not None:
        own["teacher"] = torch.special.entr(targets).sum(-1).mean().item()
    return Objective(weights, optima(weights, own, dim))


class StepLosses:
    """The losses of a step: a batch and its views, the samples, and every active term, each [K].

    With several processes each has a share of the batch and of the chains, and all have the losses of the whole.

    Args:
        recipe: has the network, the sampler and the guard.
        stage: has the terms.
        inputs: the training points or images.
        training: has the networks and the chains.
        clusters: number of logits.
        targets: the teacher's p(y|x) of the images of each data set, [S, n, clusters].
    """

    def __init__(
        self,
        recipe: Recipe,
        stage: Stage,
        inputs: AnyInputs,
        training: Training,
        clusters: int,
        targets: Tensor | None = None,
    ) -> None:
        self.stage, self.sampler, self.inputs, self.training = stage, recipe.sampler, inputs, training
        network, self.guard, self.targets = recipe.network_of(stage), recipe.guard, targets
        self.temperature = network.temperature
        self.objective = build_objective(stage, clusters, network.projector[-1], targets)
        self.log_prior = uniform_log_prior(clusters, inputs.x.device)
        self.sgld = self.rounded = None
        if recipe.sampler is not None:
            box = inputs.box(recipe.sampler.margin)
            self.sgld = replace(build_sgld(recipe.sampler, box, inputs.ground()), engine=recipe.sampler.engine)
        if recipe.speed.bf16 and isinstance(self.networks, ImageNetworks) and not stage.weights.gen.is_zero:
            self.rounded = Rounded(self.networks)

    def __call__(self, step: int) -> dict[str, Tensor]:
        """The losses by term name."""
        weights = self.objective.weights(step / self.stage.steps)
        networks, batch = self.networks, self.stage.batch
        rows, x, views = self.inputs.draw(networks.count, batch // processes.count(), self.training.generator)
        # before the batch, so that its graph takes no memory meanwhile
        chains = self.advance_chains() if weights.get("gen") else None
        features = networks.encode(torch.cat([x, views], 1) if self.compares else x).unflatten(1, (-1, x.shape[1]))
        embeddings = networks.project(processes.join(features, 2).flatten(1, 2))  # [K, batch or 2 * batch, dim]
        logits = networks.classify(embeddings)
        log_probs, *view_log_probs = logits.log_softmax(-1).split(batch, 1)
        terms: dict[str, Callable[[], Tensor]] = {
            "inv": lambda: invariance_loss(view_log_probs[0], log_probs),
            "prior": lambda: prior_loss(log_probs, self.log_prior),
            "certain": lambda: certain_loss(log_probs, view_log_probs[0]),
            "teacher": lambda: self._teacher(log_probs, rows),
        }
        terms |= {name: partial(self._compare_views, term, logits, embeddings) for name, term in COMPARED.items()}
        losses = {name: term() for name, term in terms.items() if weights.get(name)}
        if chains is not None:
            losses |= self._energy_terms(logits[:, :batch], chains, penalised=bool(weights.get("energy_l2")))
        return losses

    @property
    def compares(self) -> bool:
        """Whether a term of the stage looks at the views."""
        return any(not getattr(self.stage.weights, name).is_zero for name in ("inv", "certain", *COMPARED))

    @property
    def networks(self) -> AnyNetworks:
        """The networks in training."""
        assert isinstance(self.training.model, AnyNetworks)
        return self.training.model

    def _teacher(self, log_probs: Tensor, rows: Tensor) -> Tensor:
        """Cross-entropy CE(teacher, student), the mean over the batch: [K, batch, clusters] and [K, share] -> [K]."""
        assert self.targets is not None
        targets = processes.join(self.targets[find_owners(self.targets, len(rows)), rows], 1)
        return -(targets * log_probs).sum(-1).mean(1)

    def _compare_views(self, term: Term, logits: Tensor, embeddings: Tensor) -> Tensor:
        """A term that compares two views; logits and embeddings are both views', [K, 2 * batch, ...]."""
        if "prototypes" in term.needs:
            cosines, view_cosines = (logits * self.temperature).split(self.stage.batch, 1)
            return term.of_cosines(cosines, view_cosines, self.temperature)
        return term.of_embeddings(*embeddings.split(self.stage.batch, 1))

    def _energy_terms(self, logits: Tensor, chains: Tensor, penalised: bool) -> dict[str, Tensor]:
        """L_GEN, and the penalty on the energies where its weight is not 0."""
        samples = processes.join(self.networks(chains), 1)  # [K, chains of all processes, clusters]
        gap = generative_loss(logits, samples)
        self._check(gap, chains)
        return {"gen": gap, "energy_l2": energy_l2_loss(logits, samples)} if penalised else {"gen": gap}

    def advance_chains(self) -> Tensor:
        """Advance some chains of every network, and return where they are then, [K, chains, ...]."""
        assert self.sampler is not None
        assert self.sgld is not None
        buffer, generator = self.training.buffers[CHAINS], self.training.generator
        indices, chains = buffer.draw(self.sampler.chains // processes.count(), generator)
        chains = self._renewed(chains)
        with self._without_gradients() as networks:
            samples = self.sgld.advance(networks, chains.transpose(0, 1).contiguous(), generator)
        buffer.store(indices, samples.transpose(0, 1))
        return samples

    def _renewed(self, chains: Tensor) -> Tensor:
        """Chains, [chains, K, ...], a share of them warped a little, of drawings, or changed as images are."""
        assert self.sampler is not None
        if self.sampler.augment and isinstance(self.inputs, ImageInputs):
            samples = chains.transpose(0, 1)
            chains = self.inputs.renewed(samples, self.sampler.augment, self.training.generator).transpose(0, 1)
        if not self.sampler.warp:
            return chains
        each, channels = chains.flatten(0, 1), chains.shape[2]
        warped = warp_some(each, self.sampler.warp, channels, ground_of_each, self.training.generator)
        return warped.view_as(chains)

    @contextmanager
    def _without_gradients(self) -> Iterator[AnyNetworks]:
        """The networks as chains see them."""
        if self.rounded is not None:
            yield self.rounded()
            return
        with frozen(self.networks):
            yield self.networks

    def _check(self, gap: Tensor, chains: Tensor) -> None:
        """DivergedError, in all processes alike, when energies or chains have left the range that the guard allows."""
        farthest = processes.greatest(chains.abs().max().nan_to_num(nan=math.inf, posinf=math.inf))
        numbers = torch.stack([gap.detach().abs().max(), farthest])
        self.training.checks.expect(numbers, partial(_judge, self.guard, self.training.step))


def _judge(guard: ChainGuard, step: int, numbers: Sequence[float]) -> None:
    widest, farthest = numbers
    if not math.isfinite(farthest):
        raise DivergedError(f"step {step}: chains have left the finite numbers")
    if not widest <= guard.largest_gap:
        raise DivergedError(f"step {step}: the energies of data and samples are {widest:.4g} nats apart")
    if not farthest <= guard.largest_sample:
        raise DivergedError(f"step {step}: a chain has got beyond {guard.largest_sample:g}")


def build_sgld(settings: Sampler, box: tuple[float, float], ground: Tensor | None) -> SGLD:
    """The sampler that a recipe describes, for points in a box or images on this ground, on any device."""
    clamp = box if settings.clamp else None
    reference = reference_of(settings, ground)
    return SGLD(settings.steps, settings.step_size, settings.noise, clamp, jump=settings.jump, reference=reference)


def reference_of(settings: Sampler | None, ground: Tensor | None) -> Reference | None:
    """r(x) of p(x) ∝ exp(-E(x)) r(x), where a recipe has one that is not uniform."""
    if settings is None or settings.reference is None or ground is None:
        return None
    return Reference(ground, settings.reference)
