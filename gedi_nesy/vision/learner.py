"""Learning from points or images: the stages of a recipe on K = seeds x restarts networks at once, without files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core import processes
from gedi_nesy.core.fit import Training, moving_average
from gedi_nesy.core.objective import Diagnosis
from gedi_nesy.core.seeds import own_seed
from gedi_nesy.core.sgld import ReplayBuffer
from gedi_nesy.errors import UserError
from gedi_nesy.runs.device import check_room, find_device
from gedi_nesy.runs.phases import Phase
from gedi_nesy.vision.certificate import Choice, choose, diagnose_networks, judged_rows
from gedi_nesy.vision.features import FeatureLosses, feature_optimizer
from gedi_nesy.vision.head import fit_heads
from gedi_nesy.vision.image_network import ImageNetworks
from gedi_nesy.vision.losses import CHAINS, StepLosses, build_sgld
from gedi_nesy.vision.neighbours import ENDS, walks_by_features
from gedi_nesy.vision.networks import AnyNetworks, new_networks
from gedi_nesy.vision.recipe import Features, Recipe, Stage, Student
from gedi_nesy.vision.restarts import cluster_coordinates, cluster_features, heads_for
from gedi_nesy.vision.scale import find_scale
from gedi_nesy.vision.shapes import graph_of_shapes, spectral_coordinates, walks_on
from gedi_nesy.vision.view_means import mean_features, mean_predictions
from gedi_nesy.vision.views import AnyInputs, ImageInputs, build_inputs


class Learner:
    """Learns clusters and density from points or images.

    Args:
        recipe: every setting, but where the points come from.
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
        self.ground = self.inputs.ground() if isinstance(self.inputs, ImageInputs) else None
        self.choices: list[Choice] | None = None  # once restarts are judged
        self.targets: Tensor | None = None  # the student's, once it has a teacher
        if recipe.sampler:
            build_sgld(recipe.sampler, self.box, self.ground)  # so that its settings are refused now, not after a stage
            size = 1 if recipe.sampler.as_bytes else 4
            check_room(recipe.sampler.buffer, self.inputs.shape, self.device, size)
        self._check_shares()

    def _build_inputs(self, data: Sequence[Tensor]) -> AnyInputs:
        recipe = self.recipe
        if recipe.augment is not None:
            x = data[0].unsqueeze(0) if len(data) == 1 else torch.stack(list(data))
            return ImageInputs(x.to(self.device), self.scales, recipe.augment, recipe.view.noise, recipe.view.warp)
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
        """One for each stage."""
        stages = self.recipe.stages
        first = self.recipe.seed * len(stages)
        return [Phase(k, name, stages[name], first + k, stages[name].steps) for k, name in enumerate(stages)]

    def begin(self, phase: Phase, before: Training | None) -> Training:
        """Fresh networks, the networks of the phase before, or in the last phase the best of these."""
        last = phase.name in ("refine", "student")
        if before and last and self.choices is None:
            self._fit_heads(networks_of(before))
            self.choices = choose(networks_of(before), self.inputs)
        if self.recipe.clusters_shapes and self.targets is None:
            self._walk_by_shape(phase)
        one = last or self.recipe.clusters_features or self.recipe.clusters_shapes
        networks = self._new_networks(len(self.scales) * (1 if one else self.recipe.restarts), phase.seed, phase.stage)
        if before:
            kept = networks_of(before)
            kept = self._best(kept) if kept.count > networks.count else kept
            if isinstance(phase.stage, Student):
                assert isinstance(self.inputs, ImageInputs)
                self.targets = mean_predictions(kept, self.inputs, phase.stage.views, self._same_for_all(phase))
            else:
                self._carry_on(networks, kept)
                if self.recipe.clusters_features:
                    self._walk_and_cluster(networks, phase)
        optimizer = new_optimizer(networks, phase.stage)
        if isinstance(networks, ImageNetworks):
            networks.speed_up()
        generator = self._generator(phase)
        buffers = before.buffers if before and not last else {}
        if not phase.stage.weights.gen.is_zero and not buffers:
            buffers = {CHAINS: self._new_chains(networks.count, generator)}
        return Training(networks, optimizer, generator, moving_average(networks, phase.stage.ema), buffers)

    def losses(self, phase: Phase, training: Training) -> StepLosses | FeatureLosses:
        """The losses of the phase's steps."""
        if isinstance(phase.stage, Features):
            assert isinstance(self.inputs, ImageInputs)
            return FeatureLosses(phase.stage, self.inputs, training)
        inputs = replace(self.inputs, walks=None) if phase.stage.labels_itself else self.inputs
        return StepLosses(self.recipe, phase.stage, inputs, training, self.clusters, self.targets)

    def diagnose(self, training: Training) -> dict[str, Diagnosis]:
        """The diagnosis of the first data set's best restart at present."""
        networks = training.model
        assert isinstance(networks, AnyNetworks)
        restarts = networks.count // len(self.scales)
        return {"best": min(diagnose_networks(networks, self.inputs)[:restarts], key=lambda d: d.certificate)}

    def result(self, training: Training) -> tuple[AnyNetworks, list[Choice]]:
        """The result of the last phase's training.

        Returns:
            For each data set the network with the lowest certificate, S of them side by side, and how it was chosen.
        """
        networks = networks_of(training)
        if not (self.recipe.has_energy_model or self.recipe.student):  # else L_GEN has trained the heads, after k-means
            self._fit_heads(networks)
        if self.choices is None:
            self.choices = choose(networks, self.inputs)
            networks = self._best(networks)
        return networks, self.choices

    def state_dict(self) -> dict[str, Any]:
        """The restarts that were chosen, and where walks among images ended."""
        walks = self.inputs.walks if isinstance(self.inputs, ImageInputs) else None
        choices = [asdict(choice) for choice in self.choices] if self.choices else None
        return {"choices": choices, "walks": walks, "targets": self.targets}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            ValueError: if these are not the choices of this training. Damaged states raise other errors, too.
        """
        choices = [Choice(**values) for values in state["choices"] or ()]
        best = [choice.best for choice in choices]
        if best and (len(best) != len(self.scales) or not set(best) <= set(range(self.recipe.restarts))):
            raise ValueError(f"the restarts {best} were chosen")
        self.choices = choices or None
        walks = state.get("walks")  # older runs, in which no image walked, have none
        if walks is not None:
            self._check_walks(walks)
            self.inputs = replace(self.inputs, walks=walks)
        self.targets = state.get("targets")  # older runs have none
        wanted = (len(self.scales), self.inputs.count, self.clusters)
        if self.targets is not None and self.targets.shape != wanted:
            raise ValueError("the teacher's predictions are not for these images")

    def _check_walks(self, walks: Tensor) -> None:
        """ValueError where these are no walks among the images."""
        count = self.inputs.count if isinstance(self.inputs, ImageInputs) else 0
        fits = walks.dim() == 3 and walks.shape[1] == count and walks.dtype == torch.int32 and walks.numel() > 0
        if not (fits and len(walks) % len(self.scales) == 0 and walks.min() >= 0 and walks.max() < count):
            raise ValueError("the walks are not among these images")

    def _carry_on(self, networks: AnyNetworks, kept: AnyNetworks) -> None:
        """Give networks the weights of those of the phase before; after [features] these have the encoders alone."""
        if self.recipe.features and self.choices is None:
            assert isinstance(networks, ImageNetworks)
            assert isinstance(kept, ImageNetworks)
            networks.load_encoders(kept)
        else:
            networks.load_state_dict(kept.state_dict())

    def _walk_and_cluster(self, networks: AnyNetworks, phase: Phase) -> None:
        """From here on views of images are walks among images that these networks find alike; after the first stage the
        networks get the best of some projectors and heads on their features."""
        assert isinstance(self.inputs, ImageInputs)
        assert isinstance(networks, ImageNetworks)
        generator = self._same_for_all(phase)
        features = mean_features(networks, self.inputs, generator)
        walks = walks_by_features(features, self.recipe.view, generator)
        self.inputs = replace(self.inputs, walks=walks)
        if self.choices is None:
            judged = judged_rows(self.inputs, torch.Generator(self.device).manual_seed(0))
            self.choices = []
            for member, own, ends in zip(networks.members, features, walks, strict=True):
                fresh = self._new_networks(self.recipe.restarts, phase.seed, phase.stage)
                assert isinstance(fresh, ImageNetworks)
                best = cluster_features(fresh, own, ends, judged, generator)
                member.projector.load_state_dict(best.network.projector.state_dict())
                member.head.load_state_dict(best.network.head.state_dict())
                self.choices.append(best.choice)

    def _walk_by_shape(self, phase: Phase) -> None:
        """From here on views of images are walks among images of like shapes, and the teacher is the best of some
        clusterings that walks do not leave."""
        assert isinstance(self.inputs, ImageInputs)
        generator, view = self._same_for_all(phase), self.recipe.view
        judged = judged_rows(self.inputs, torch.Generator(self.device).manual_seed(0))
        found, walks = [], []
        for x in self.inputs.x:
            graph = graph_of_shapes(x, view.neighbours, view.upright)
            coordinates = spectral_coordinates(graph, self.clusters - 1).to(self.device)
            walks.append(walks_on(graph, view.walk, ENDS, generator))
            fresh = heads_for(coordinates, self.recipe.restarts, self.clusters, phase.seed)
            found.append(cluster_coordinates(fresh, coordinates, walks[-1], judged, generator, view.prior))
        self.inputs = replace(self.inputs, walks=torch.stack(walks))
        self.choices, self.targets = [choice for choice, _ in found], torch.stack([teacher for _, teacher in found])

    def _fit_heads(self, networks: AnyNetworks) -> None:
        """Give clusters to networks that have embeddings alone, so that they can be judged."""
        if self.recipe.train.weights.used("embeddings"):
            fit_heads(networks, self.inputs, self.clusters)

    def _new_chains(self, networks: int, generator: torch.Generator) -> ReplayBuffer:
        """This process's share of the chains."""
        settings = self.recipe.sampler
        assert settings is not None
        capacity, shape = settings.buffer // processes.count(), (networks, *self.inputs.shape)
        return ReplayBuffer(capacity, shape, *self.box, settings.reinit, generator, self.device, settings.as_bytes)

    def _new_networks(self, count: int, seed: int, stage: Stage) -> AnyNetworks:
        return new_networks(self.recipe, count, self.inputs.shape, self.clusters, seed, stage).to(self.device)

    def _same_for_all(self, phase: Phase) -> torch.Generator:
        """For the work before a phase, whose result all processes must have alike."""
        return torch.Generator(self.device).manual_seed(phase.seed)

    def _generator(self, phase: Phase) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(own_seed(phase.seed))

    def _best(self, networks: AnyNetworks) -> AnyNetworks:
        """The chosen restart of each data set."""
        assert self.choices is not None
        restarts = networks.count // len(self.choices)
        best = self._new_networks(len(self.choices), 0, self.recipe.train)
        best.load_state_dict(networks.pick([k * restarts + choice.best for k, choice in enumerate(self.choices)]))
        return best


def new_optimizer(networks: AnyNetworks, stage: Stage) -> torch.optim.Optimizer:
    """LARS for features, which like large batches, and Adam otherwise."""
    rate = stage.learning_rate(0)
    if isinstance(stage, Features):
        assert isinstance(networks, ImageNetworks)
        return feature_optimizer(networks, rate)
    return torch.optim.Adam(networks.parameters(), lr=rate, betas=(0.9, 0.999), fused=True)


def networks_of(training: Training) -> AnyNetworks:
    """The networks to use: the moving average where there is one."""
    assert isinstance(training.result, AnyNetworks)
    return training.result
