"""Learning from points or images: the stages of a recipe on K = seeds x restarts networks at once, without files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.core import processes
from gedi_nesy.core.fit import DivergedError, Training, Watcher, fit, moving_average
from gedi_nesy.core.sgld import ReplayBuffer
from gedi_nesy.errors import UserError
from gedi_nesy.runs.device import check_room, find_device
from gedi_nesy.runs.rollback import Rollback
from gedi_nesy.vision.certificate import Choice, choose
from gedi_nesy.vision.head import fit_heads
from gedi_nesy.vision.image_network import ImageNetworks
from gedi_nesy.vision.losses import CHAINS, StepLosses, build_sgld
from gedi_nesy.vision.networks import AnyNetworks, new_networks
from gedi_nesy.vision.recipe import Recipe, Stage
from gedi_nesy.vision.scale import find_scale
from gedi_nesy.vision.views import AnyInputs, ImageInputs, build_inputs


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
    rollback: Rollback

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""
        choices = [asdict(choice) for choice in self.choices] if self.choices else None
        return {
            "phase": self.phase.number,
            "training": self.training.state_dict(),
            "choices": choices,
            "rollback": self.rollback.state_dict(),
        }


Watch = Callable[[Stand], Sequence[Watcher]]
Restore = Callable[[Training, Mapping[str, Any]], None]


class Learner:
    """Learns clusters and density from points or images.

    Args:
        recipe: every setting; where its points come from is not looked at.
        data: training points of each seed, float32 or float64 [n, d], all of one shape, or images uint8 [n, C, H, W].
        clusters: how many to find.

    Raises:
        UserError: if the device can't be used, there are too few points for the graph of neighbours, or the processes
            can't share the batch.
    """

    def __init__(self, recipe: Recipe, data: Sequence[Tensor], clusters: int) -> None:
        self.recipe, self.clusters, self.device = recipe, clusters, find_device(recipe.device)
        self.scales = [find_scale(x.to(self.device), recipe.scale) for x in data]
        self.inputs = self._build_inputs(data)
        self.box = self.inputs.box(recipe.sampler.margin if recipe.sampler else 0.0)
        self.rollback = Rollback(recipe.guard)
        if recipe.sampler:
            build_sgld(recipe.sampler, self.box)  # its settings are refused now, not after the first stage
            check_room(recipe.sampler.buffer, self.inputs.shape, self.device)
        self._check_shares()

    def _build_inputs(self, data: Sequence[Tensor]) -> AnyInputs:
        recipe = self.recipe
        if recipe.augment is not None:
            x = data[0].unsqueeze(0) if len(data) == 1 else torch.stack(list(data))
            return ImageInputs(x.to(self.device), self.scales, recipe.augment, recipe.view.noise)
        inputs = [scale.to_inputs(x.to(self.device)).float() for scale, x in zip(self.scales, data, strict=True)]
        return build_inputs(inputs, recipe.view, torch.Generator(self.device).manual_seed(recipe.seed))

    def _check_shares(self) -> None:
        """Every process must get the same share of the batch and of the chains."""
        shared = {f"{name}.batch": stage.batch for name, stage in self.recipe.stages.items()}
        if sampler := self.recipe.sampler:
            shared |= {"sampler.chains": sampler.chains, "sampler.buffer": sampler.buffer}
        for name, number in shared.items():
            if number % processes.count():
                raise UserError(f"{processes.count()} processes can't share {name} = {number}; make it a multiple.")
        if processes.count() > 1 and self.recipe.network.encoder == "resnet18":
            raise UserError(
                "The batch norm of resnet18 needs the whole batch in one process; start one, or --set "
                "network.encoder=resnet18-groupnorm."
            )

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
    ) -> tuple[AnyNetworks, list[Choice]]:
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
                self._fit_heads(networks_of(training))
                choices = choose(networks_of(training), self.inputs)
            training = self._begin(phase, training, choices)
            self.rollback.begin(phase.name, training)
            if state:
                restore(training, state["training"])
                self.rollback.load_state_dict(state["rollback"])
                state = None
            self._fit(phase, training, choices, watch)
        assert training is not None
        networks = networks_of(training)
        if not self.recipe.has_energy_model:  # else L_GEN has trained the heads, after k-means
            self._fit_heads(networks)
        if choices is None:
            choices = choose(networks, self.inputs)
            networks = self._best(networks, choices)
        return networks, choices

    def _fit_heads(self, networks: AnyNetworks) -> None:
        """Give networks the clusters that embeddings alone do not have; without them none could be judged."""
        if self.recipe.train.weights.used("embeddings"):
            fit_heads(networks, self.inputs, self.clusters)

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
        if isinstance(networks, ImageNetworks):
            networks.speed_up()
        generator = torch.Generator(self.device).manual_seed(seed_of_share(phase.seed))
        buffers = before.buffers if before and not refines else {}
        if not stage.weights.gen.is_zero and not buffers:
            buffers = {CHAINS: self._new_chains(networks.count, generator)}
        return Training(networks, optimizer, generator, moving_average(networks, stage.ema), buffers)

    def _new_chains(self, networks: int, generator: torch.Generator) -> ReplayBuffer:
        """This process's share of the chains."""
        settings = self.recipe.sampler
        assert settings is not None
        capacity, shape = settings.buffer // processes.count(), (networks, *self.inputs.shape)
        return ReplayBuffer(capacity, shape, *self.box, settings.reinit, generator, self.device)

    def _new_networks(self, count: int, seed: int) -> AnyNetworks:
        return new_networks(self.recipe, count, self.inputs.shape, self.clusters, seed).to(self.device)

    def _best(self, networks: AnyNetworks, choices: Sequence[Choice]) -> AnyNetworks:
        restarts = networks.count // len(choices)
        best = self._new_networks(len(choices), 0)
        best.load_state_dict(networks.pick([seed * restarts + choice.best for seed, choice in enumerate(choices)]))
        return best

    def _fit(self, phase: Phase, training: Training, choices: Sequence[Choice] | None, watch: Watch) -> None:
        """Train a phase to its end; after a divergence from an earlier state, as often as the guard allows."""
        stage, rollback = phase.stage, self.rollback
        losses = StepLosses(self.recipe, stage, self.inputs, training, self.box, self.clusters)
        while training.step < stage.steps:
            watchers = watch(Stand(phase, training, losses, choices, rollback))
            rate = stage.learning_rate.scaled(rollback.factor)
            try:
                fit(
                    training,
                    losses.objective,
                    losses,
                    steps=stage.steps,
                    learning_rate=rate,
                    watchers=[rollback.keep, *watchers],
                )
            except DivergedError as error:
                rollback.go_back(training, error)


def networks_of(training: Training) -> AnyNetworks:
    """The networks to use: the moving average where there is one."""
    assert isinstance(training.result, AnyNetworks)
    return training.result


def seed_of_share(seed: int) -> int:
    """The seed of this process's randomness, given that of the first one's."""
    if processes.rank() == 0:
        return seed
    return int(np.random.SeedSequence([seed, processes.rank()]).generate_state(1)[0])
