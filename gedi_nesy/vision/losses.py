"""The losses of one training step of the vision track, and the optimum of each."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gedi_nesy.core.fit import DivergedError, Training
from gedi_nesy.core.losses import (
    barlow_loss,
    energy_l2_loss,
    generative_loss,
    invariance_loss,
    prior_loss,
    swav_loss,
)
from gedi_nesy.core.objective import Objective, uniform_log_prior
from gedi_nesy.core.sgld import SGLD
from gedi_nesy.vision.network import Networks
from gedi_nesy.vision.recipe import Network, Sampler, Stage
from gedi_nesy.vision.views import Inputs

LARGEST_GAP = 10_000.0  # nats; a working energy model stays within tens
CHAINS = "chains"  # the replay buffer's name in a Training; it holds [capacity, K, d], a chain of every network a row


def build_objective(stage: Stage, clusters: int) -> Objective:
    """The stage's weighted terms with the optimum of each that has one (paper, Proposition 1)."""
    return Objective(dict(stage.weights), {"inv": 0.0, "prior": math.log(clusters), "barlow": 0.0, "energy_l2": 0.0})


class StepLosses:
    """The losses of a step: a batch and its views, the samples, and every active term, each [K].

    Args:
        stage: whose terms.
        network: of which the temperature turns logits into SwAV's cosines.
        sampler: of L_GEN, or None where it is off.
        inputs: the training points.
        training: whose networks and chains.
        box: (low, high) to which chains are clamped where the sampler says so.
        clusters: number of logits.
    """

    def __init__(
        self,
        stage: Stage,
        network: Network,
        sampler: Sampler | None,
        inputs: Inputs,
        training: Training,
        box: tuple[float, float],
        clusters: int,
    ) -> None:
        self.stage, self.sampler, self.inputs, self.training = stage, sampler, inputs, training
        self.temperature = network.temperature
        self.objective = build_objective(stage, clusters)
        self.log_prior = uniform_log_prior(clusters).to(inputs.x)
        self.sgld = None if sampler is None else build_sgld(sampler, box)

    def __call__(self, step: int) -> dict[str, Tensor]:
        """The losses by term name."""
        weights = self.objective.weights(step / self.stage.steps)
        networks, batch, generator = self.networks, self.stage.batch, self.training.generator
        x, views = self.inputs.draw(networks.count, batch, generator)
        embeddings = networks.embed(torch.cat([x, views], 1))  # [K, 2 * batch, dim]
        logits = networks.head(embeddings)
        log_probs, view_log_probs = logits.log_softmax(-1).split(batch, 1)
        terms: dict[str, Callable[[], Tensor]] = {
            "inv": lambda: invariance_loss(view_log_probs, log_probs),
            "prior": lambda: prior_loss(log_probs, self.log_prior),
            "swav": lambda: self._swav(logits * self.temperature),
            "barlow": lambda: barlow_loss(*embeddings.split(batch, 1)),
        }
        losses = {name: term() for name, term in terms.items() if weights.get(name)}
        if self.sampler and weights.get("gen") and (step + 1) % self.sampler.every == 0:
            losses |= self._energy_terms(logits[:, :batch], penalised=bool(weights.get("energy_l2")))
        return losses

    @property
    def networks(self) -> Networks:
        """The networks in training."""
        assert isinstance(self.training.model, Networks)
        return self.training.model

    def _swav(self, scores: Tensor) -> Tensor:
        first, second = scores.split(self.stage.batch, 1)
        return swav_loss(first, second, self.temperature)

    def _energy_terms(self, logits: Tensor, penalised: bool) -> dict[str, Tensor]:
        """L_GEN, and the penalty on the energies where it weighs anything."""
        samples = self._sample()
        gap = generative_loss(logits, samples)
        if not gap.abs().max().item() <= LARGEST_GAP:
            raise DivergedError(f"step {self.training.step}: the energies of data and samples are {gap.tolist()} apart")
        return {"gen": gap, "energy_l2": energy_l2_loss(logits, samples)} if penalised else {"gen": gap}

    def _sample(self) -> Tensor:
        """Advance some chains of every network; the logits there, [K, chains, clusters]."""
        assert self.sampler is not None
        assert self.sgld is not None
        buffer, generator = self.training.buffers[CHAINS], self.training.generator
        indices, chains = buffer.draw(self.sampler.chains, generator)
        samples = self.sgld(self.networks, chains.transpose(0, 1).contiguous(), generator)
        buffer.store(indices, samples.transpose(0, 1))
        logits: Tensor = self.networks(samples)
        return logits


def build_sgld(settings: Sampler, box: tuple[float, float]) -> SGLD:
    """The sampler that a recipe describes, for points in a box."""
    return SGLD(settings.steps, settings.step_size, settings.noise, box if settings.clamp else None)
