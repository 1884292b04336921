"""A trained run: its folder, its networks, and what they can be asked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from deepproblog.model import Model
from torch import Tensor, nn

from gedi_nesy.core.energy import energy
from gedi_nesy.data import Images, load_images
from gedi_nesy.data.scale import SCALES, Scale
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.candidates import build_networks, network_classes
from gedi_nesy.nesy.constraint import Constraint
from gedi_nesy.nesy.evaluate import evaluate_networks, predict_log_probs
from gedi_nesy.nesy.losses import build_sgld
from gedi_nesy.nesy.predicate import deepproblog_model, query
from gedi_nesy.nesy.recipe import Recipe, load_recipe
from gedi_nesy.runs import RunFolder

IMAGE_SHAPE = torch.Size((1, 28, 28))


class Run:
    """A finished run, as `train` returns it and `load_run` reads it.

    Attributes:
        folder: where everything about it lies.
        recipe: every setting it was trained with.
        constraint: the rule it was trained on.
        networks: the trained networks by their names in the program, in eval mode, giving logits.
        summary: the contents of `summary.json`.
    """

    def __init__(
        self,
        folder: RunFolder,
        recipe: Recipe,
        constraint: Constraint,
        networks: nn.ModuleDict,
        device: torch.device,
    ):
        self.folder, self.recipe, self.constraint, self.device = folder, recipe, constraint, device
        self.networks = networks.eval().requires_grad_(False).to(self.device)
        self.domains = {variable.network: variable.domain for variable in constraint.variables}

    @property
    def summary(self) -> dict[str, Any]:
        """The contents of `summary.json`."""
        return self.folder.read_json("summary.json")

    @property
    def scale(self) -> Scale:
        """How this run turns bytes into inputs."""
        return SCALES[self.recipe.scale]

    def log_probs(self, images: Tensor, network: str | None = None) -> Tensor:
        """log p(y|x), [images, classes].

        Args:
            images: uint8, or floats in [0, 1]; [images, 1, 28, 28] or [images, 28, 28].
            network: its name in the program; may be left out when there is only one.
        """
        return predict_log_probs(self._network(network), self._inputs(images))

    def predict(self, images: Tensor, network: str | None = None) -> list[object]:
        """The most probable symbol of each image, from the network's domain in the program."""
        domain = self.domains[self._name(network)]
        return [domain[index] for index in self.log_probs(images, network).argmax(-1).tolist()]

    @torch.no_grad()
    def energy(self, images: Tensor, network: str | None = None) -> Tensor:
        """E(x) = -logsumexp f(x), [images], in nats: high for images unlike the training images."""
        net = self._network(network)
        return torch.cat([energy(net(chunk)) for chunk in self._inputs(images).split(2000)])

    def sample(self, n: int, *, steps: int = 1000, seed: int = 0, network: str | None = None) -> Tensor:
        """Draw images from the energy model with SGLD chains that start from uniform noise.

        Args:
            n: how many chains.
            steps: SGLD steps of each.
            seed: of the noise.
            network: its name in the program; may be left out when there is only one.

        Returns:
            Intensities in [0, 1], [n, 1, 28, 28].

        Raises:
            UserError: if the run was trained without L_GEN, so that its energy is no model of images.
        """
        settings = self.recipe.sampler
        if settings is None or not self.recipe.has_energy_model:
            raise UserError(
                f"The run {self.folder.path} was trained without L_GEN, so its energy can't be sampled from."
            )
        generator = torch.Generator(self.device).manual_seed(seed)
        low, high = self.scale.low, self.scale.high
        noise = torch.rand((n, *IMAGE_SHAPE), generator=generator, device=self.device)
        sampler = replace(build_sgld(settings, self.scale), steps=steps)
        return self.scale.to_unit(sampler(self._network(network), low + (high - low) * noise, generator))

    def evaluate(self, data_dir: Path | None = None) -> dict[str, Any]:
        """Score on the test images of the data set that the run was trained on.

        Args:
            data_dir: where data sets lie; by default $GEDI_NESY_DATA, then the user's cache folder.
        """
        images = self._images(data_dir)
        return evaluate_networks(self.networks, self.constraint, images, self.scale, self.device)[0]

    def deepproblog_model(
        self, program: str | Path | None = None, sources: Mapping[str, Sequence[Tensor] | Tensor] | None = None
    ) -> Model:
        """A DeepProbLog model in which the trained networks answer the program's neural predicates.

        Args:
            program: a ProbLog program, its path or its text; by default the one the run was trained on.
            sources: images by the name that a goal gives them: `tensor(test(0))` is `sources["test"][0]`; uint8, or
                floats in [0, 1], [images, 1, 28, 28].

        Returns:
            The model with DeepProbLog's exact engine set.
        """
        inputs = {
            name: self._inputs(images if isinstance(images, Tensor) else torch.stack(list(images)))
            for name, images in (sources or {}).items()
        }
        return deepproblog_model(program or self.recipe.program, dict(self.networks.items()), inputs)

    def query(self, goal: str, program: str | None = None, data_dir: Path | None = None) -> dict[str, float]:
        """Answer a goal with DeepProbLog's own solver; `tensor(test(0))` is the first test image.

        Args:
            goal: a goal of the program, with or without variables.
            program: a file, or the name of one of ours; by default the one the run was trained on.
            data_dir: where data sets lie.

        Returns:
            The probability of each answer.
        """
        images = self._images(data_dir)
        model = self.deepproblog_model(program, sources={"train": images.x_train, "test": images.x_test})
        return query(model, goal)

    def _images(self, data_dir: Path | None) -> Images:
        if self.recipe.dataset is None:
            raise UserError(f"{self.folder.path} was trained on a table, {self.recipe.data}, without test images.")
        return load_images(self.recipe.dataset, data_dir)

    def _name(self, network: str | None) -> str:
        if network is None and len(self.networks) == 1:
            return next(iter(self.networks))
        if network is None or network not in self.networks:
            raise UserError(f"Name one of the run's networks: {', '.join(self.networks)}; found {network!r}.")
        return network

    def _network(self, network: str | None) -> nn.Module:
        return self.networks[self._name(network)]

    def _inputs(self, images: Tensor) -> Tensor:
        images = images.unsqueeze(1) if images.dim() == 3 else images
        if images.shape[1:] != IMAGE_SHAPE:
            raise UserError(f"The run takes images of shape [images, 1, 28, 28], found {list(images.shape)}.")
        if images.dtype == torch.uint8:
            return self.scale.to_inputs(images.to(self.device))
        if images.min() < 0 or images.max() > 1:
            raise UserError("Images of floats must lie in [0, 1]; divide bytes by 255, or give uint8.")
        return (images.to(self.device).float() - self.scale.shift) / self.scale.spread


def load_run(folder: str | Path, device: str = "cpu") -> Run:
    """Read a finished run from its folder.

    Args:
        folder: as `train` wrote it.
        device: where to put the networks, whatever they were trained on.

    Raises:
        UserError: if it is no run folder, the run is not finished, or a file is damaged.
    """
    run_folder = RunFolder.open(Path(folder))
    recipe = load_recipe(str(run_folder / "config.toml"))
    constraint = load_constraint(recipe)
    networks = build_networks(network_classes(constraint, IMAGE_SHAPE))
    try:
        networks.load_state_dict(run_folder.load_model())
    except RuntimeError as error:
        raise UserError(f"{run_folder / 'model.safetensors'} does not fit the rule in config.toml.") from error
    return Run(run_folder, recipe, constraint, networks, torch.device(device))


def load_constraint(recipe: Recipe) -> Constraint:
    """The rule that a recipe trains on."""
    return Constraint.from_file(recipe.program, query=recipe.query, arguments=recipe.arguments)
