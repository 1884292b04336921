"""Learning from points: the stages of a recipe on K = seeds x restarts networks at once, without files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core.fit import Training, Watcher, fit, moving_average
from gedi_nesy.core.sgld import ReplayBuffer
from gedi_nesy.device import find_device
from gedi_nesy.vision.certificate import Choice, choose
from gedi_nesy.vision.head import fit_heads
from gedi_nesy.vision.losses import CHAINS, StepLosses, build_sgld
from gedi_nesy.vision.network import Networks, pick_networks
from gedi_nesy.vision.recipe import Recipe, Stage
from gedi_nesy.vision.views import build_inputs


@dataclass(frozen=True)
class Scale:
    """How points become inputs: (x - shift) / spread, both [d]."""

    shift: Tensor
    spread: Tensor

    def to_inputs(self, x: Tensor) -> Tensor:
        """Points [n, d] as a network sees them."""
        return (x - self.shift) / self.spread

    def to_points(self, inputs: Tensor) -> Tensor:
        """The way back."""
        return inputs * self.spread + self.shift


@dataclass(frozen=True)
class Phase:
    """A stretch of training: which one, its name and settings, the seed of its randomness."""

    number: int
    name: str
    stage: Stage
    seed: int


@dataclass(frozen=True)
class Stand:
    """Where learning stands while a phase is trained: what a checkpoint holds and a watcher looks at."""

    phase: Phase
    training: Training
    losses: StepLosses
    choices: Sequence[Choice] | None

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""
        choices = [asdict(choice) for choice in self.choices] if self.choices else None
        return {"phase": self.phase.number, "training": self.training.state_dict(), "choices": choices}


Watch = Callable[[Stand], Sequence[Watcher]]
Restore = Callable[[Training, Mapping[str, Any]], None]


class Learner:
    """Learns clusters and density from points.

    Args:
        recipe: every setting; where its points come from is not looked at.
        data: training points of each seed, [n, d], all of one shape.
        clusters: how many to find.

    Raises:
        UserError: if the device can't be used, or there are too few points for the graph of neighbours.
    """

    def __init__(self, recipe: Recipe, data: Sequence[Tensor], clusters: int) -> None:
        self.recipe, self.clusters, self.device = recipe, clusters, find_device(recipe.device)
        self.scales = [find_scale(x.to(self.device), recipe.scale) for x in data]
        inputs = [scale.to_inputs(x.to(self.device)) for scale, x in zip(self.scales, data, strict=True)]
        generator = torch.Generator(self.device).manual_seed(recipe.seed)
        self.inputs = build_inputs(inputs, recipe.view, generator)
        self.box = find_box(self.inputs.x, recipe.sampler.margin if recipe.sampler else 0.0)
        if recipe.sampler:
            build_sgld(recipe.sampler, self.box)  # its settings are refused now, not after the first stage

    @property
    def phases(self) -> list[Phase]:
        """The stretches of training, each with an optimiser and a random stream of its own."""
        stages = self.recipe.stages
        first = self.recipe.seed * len(stages)
        return [Phase(k, name, stages[name], first + k) for k, name in enumerate(stages)]

    def learn(
        self,
        watch: Watch = lambda stand: (),
        state: Mapping[str, Any] | None = None,
        restore: Restore = Training.load_state_dict,
    ) -> tuple[Networks, list[Choice]]:
        """Train to the end.

        Args:
            watch: gives the watchers of a phase when it begins.
            state: a `Stand.state_dict()` to go on from.
            restore: puts a training back to where its state was taken.

        Returns:
            For each seed the network with the lowest certificate, S of them side by side, and how it was chosen.

        Raises:
            DivergedError: when a loss or an energy leaves the numbers that make sense.
        """
        training: Training | None = None
        choices = [Choice(**values) for values in state["choices"]] if state and state["choices"] else None
        for phase in self.phases[state["phase"] if state else 0 :]:
            if training and phase.name == "refine":
                choices = choose(networks_of(training), self.inputs)
            training = self._begin(phase, training, choices)
            if state:
                restore(training, state["training"])
                state = None
            self._fit(phase, training, choices, watch)
        assert training is not None
        networks = networks_of(training)
        if not self.recipe.train.weights.barlow.is_zero:
            fit_heads(networks, self.inputs)
        if choices is None:
            choices = choose(networks, self.inputs)
            networks = self._best(networks, choices)
        return networks, choices

    def _begin(self, phase: Phase, before: Training | None, choices: Sequence[Choice] | None) -> Training:
        """Fresh networks, those of the phase before, or in the last phase the best of them."""
        refines = phase.name == "refine"
        networks = self._new_networks(len(self.scales) * (1 if refines else self.recipe.restarts), phase.seed)
        if before:
            kept = self._best(networks_of(before), choices or []) if refines else networks_of(before)
            networks.load_state_dict(kept.state_dict())
        stage = phase.stage
        optimizer = torch.optim.Adam(
            networks.parameters(), lr=stage.learning_rate(0), betas=(0.9, 0.999), weight_decay=stage.l2, fused=True
        )
        generator = torch.Generator(self.device).manual_seed(phase.seed)
        buffers = before.buffers if before and not refines else {}
        if not stage.weights.gen.is_zero and not buffers:
            buffers = {CHAINS: self._new_chains(networks.count, generator)}
        return Training(networks, optimizer, generator, moving_average(networks, stage.ema), buffers)

    def _new_chains(self, networks: int, generator: torch.Generator) -> ReplayBuffer:
        settings = self.recipe.sampler
        assert settings is not None
        shape = (networks, self.inputs.x.shape[-1])
        return ReplayBuffer(settings.buffer, shape, *self.box, settings.reinit, generator, self.device)

    def _new_networks(self, count: int, seed: int) -> Networks:
        return new_networks(self.recipe, count, self.inputs.x.shape[-1], self.clusters, seed).to(self.device)

    def _best(self, networks: Networks, choices: Sequence[Choice]) -> Networks:
        restarts = networks.count // len(choices)
        which = [seed * restarts + choice.best for seed, choice in enumerate(choices)]
        best = self._new_networks(len(which), 0)
        best.load_state_dict(pick_networks(networks.state_dict(), which))
        return best

    def _fit(self, phase: Phase, training: Training, choices: Sequence[Choice] | None, watch: Watch) -> None:
        stage, recipe = phase.stage, self.recipe
        losses = StepLosses(stage, recipe.network, recipe.sampler, self.inputs, training, self.box, self.clusters)
        watchers = watch(Stand(phase, training, losses, choices))
        fit(
            training,
            losses.objective,
            losses,
            steps=stage.steps,
            learning_rate=stage.learning_rate,
            watchers=watchers,
        )


def new_networks(recipe: Recipe, count: int, inputs: int, clusters: int, seed: int) -> Networks:
    """The networks that a recipe describes."""
    of = recipe.network
    return Networks(count, inputs, of.encoder, of.projector, clusters, of.head, of.temperature, seed)


def networks_of(training: Training) -> Networks:
    """The networks to use: the moving average where there is one."""
    assert isinstance(training.result, Networks)
    return training.result


def find_scale(x: Tensor, kind: str) -> Scale:
    """Of points [n, d]: "standard" gives each column mean 0 and deviation 1, "none" leaves them as they are."""
    if kind == "none":
        return Scale(torch.zeros_like(x[0]), torch.ones_like(x[0]))
    spread = x.std(0, correction=0)
    return Scale(x.mean(0), torch.where(spread > 0, spread, 1.0))


def find_box(inputs: Tensor, margin: float) -> tuple[float, float]:
    """The range of all inputs, and `margin` of its width more on each side."""
    low, high = inputs.min().item(), inputs.max().item()
    extra = margin * (high - low)
    return low - extra, high + extra
