"""A trained run of the vision track: its folder, its network, and the questions that it answers."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core.energy import log_density, log_density_gradient
from gedi_nesy.core.reference import Reference
from gedi_nesy.core.sgld import SGLD
from gedi_nesy.data.points import Points, load_points
from gedi_nesy.errors import UserError
from gedi_nesy.runs.device import find_device, float32_default
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.vision.agreement import score_clusters
from gedi_nesy.vision.density import Grid, kde_log_likelihood, log_likelihood
from gedi_nesy.vision.losses import build_sgld, reference_of
from gedi_nesy.vision.networks import AnyNetworks, clusters_in, new_networks
from gedi_nesy.vision.recipe import TRACKS, Recipe, load_recipe
from gedi_nesy.vision.scale import Scale, find_box

MARGIN = 0.25  # share of the range of the training points, on each side of the box on which densities are normalised
PART = 500  # images that go through a network at once


class Run:
    """A finished run, as `train` returns it and `load_run` reads it.

    Attributes:
        folder: where everything about it lies.
        recipe: every setting it was trained with.
        networks: the trained network, a stack of one, in eval mode.
        scale: how points or images become its inputs.
        box: (low, high) of its inputs, on which the density is normalised and where samples start.
        ground: what its images are drawn on, as an input, [C, 1, 1]; None of points.
    """

    def __init__(
        self,
        folder: RunFolder,
        recipe: Recipe,
        networks: AnyNetworks,
        scale: Scale,
        box: tuple[float, float],
        ground: Tensor | None = None,
    ) -> None:
        self.folder, self.recipe, self.scale, self.box, self.ground = folder, recipe, scale, box, ground
        self.networks = networks.eval().requires_grad_(False)

    def __repr__(self) -> str:
        recipe = self.recipe
        data, seed = recipe.dataset, recipe.seed
        return f"Run({self.folder.path}: {recipe.recipe} on {data}, {self.clusters} clusters, seed {seed})"

    @property
    def summary(self) -> dict[str, Any]:
        """The contents of `summary.json`."""
        return self.folder.read_json("summary.json")

    @property
    def clusters(self) -> int:
        """How many clusters it tells apart."""
        return int(self.log_probs(self.scale.shift[None]).shape[-1])

    @property
    def reads_images(self) -> bool:
        """Whether it is a run on images, and not on points."""
        return self.recipe.track == "images"

    @torch.no_grad()
    def log_probs(self, x: Tensor) -> Tensor:
        """log p(y|x) of points [n, d], or of images uint8 [n, C, H, W]: [n, clusters]."""
        return self._logits(x).log_softmax(-1)

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """The encoder's outputs, which linear probes read: [n, ...] -> [n, features]."""
        return torch.cat([self.networks.encode(part)[0] for part in self._inputs(x)])

    def predict(self, x: Tensor) -> Tensor:
        """The most probable cluster of each point, int64 [n]."""
        return self.log_probs(x).argmax(-1)

    @property
    def reference(self) -> Reference | None:
        """r(x) of p(x) ∝ exp(-E(x)) r(x); None where it is uniform."""
        return reference_of(self.recipe.sampler if self.recipe.has_energy_model else None, self.ground)

    @torch.no_grad()
    def energy(self, x: Tensor) -> Tensor:
        """-log p(x) up to a constant, [n], in nats: E(x) = -logsumexp f(x), with a reference E(x) - log r(x)."""
        parts = [-log_density(self.networks(part)[0], part[0], self.reference) for part in self._inputs(x)]
        return torch.cat(parts)

    def ood_score(self, x: Tensor) -> Tensor:
        """s(x) = -||d log p(x)/dx||_2 with x in units of the network's inputs, [n] (paper, Section N)."""
        scores = []
        for part in self._inputs(x):
            gradient = log_density_gradient(self.networks, part)[0]
            if self.reference:
                gradient = gradient + self.reference.gradient(part[0])
            scores.append(-gradient.flatten(1).norm(dim=1))
        return torch.cat(scores)

    def sample(self, n: int, *, steps: int = 1000, seed: int = 0) -> Tensor:
        """Draw points [n, d] or images [n, C, H, W], as float32 pixels that may leave [0, 255] a little.

        SGLD chains start uniformly in the box. In a run that was trained without L_GEN they show what its classifier is
        sure of, because its energy has never learned to be low at the data (the paper samples from it in Table 5).

        Raises:
            UserError: if the run's recipe has no [sampler], or there is nothing to draw.
        """
        if self.recipe.sampler is None:
            raise UserError(
                f"The recipe of {self.folder.path} has no [sampler], so nothing can be drawn from its energy."
            )
        if n < 1 or steps < 1:
            raise UserError(f"n and steps must be whole numbers from 1 on, not {n!r} and {steps!r}.")
        sgld = replace(build_sgld(self.recipe.sampler, self.box, self.ground), steps=steps)
        return self.scale.to_points(sample_inputs(self.networks, sgld, self.scale.shape, self.box, n, seed))

    @float32_default()
    def evaluate(self, data_dir: Path | None = None) -> dict[str, Any]:
        """Score on the test points of the data set that the run was trained on; images are looked for in `data_dir`."""
        recipe = self.recipe
        points = load_points(recipe.dataset, recipe.examples, recipe.seed, recipe.data_noise, data_dir)
        return self.score(points)

    def score(self, points: Points) -> dict[str, Any]:
        """Agreement with labels, and in the plane the log-likelihood of the test points, in nats a point.

        The density is normalised numerically on a box around all points; a kernel density estimate on the training
        points stands beside it. Both are densities of the points in their own units.
        """
        figures: dict[str, Any] = {}
        if points.y_test is not None:
            _, labels = points.y_test.unique(return_inverse=True)
            classes = max(self.clusters, int(labels.max()) + 1)
            figures |= score_clusters(self.predict(points.x_test), labels, classes, in_batches=points.are_images)
        if points.in_plane:
            device = self.scale.shift.device
            train, test = (self.scale.to_inputs(x.to(device)) for x in (points.x_train, points.x_test))
            units = self.scale.spread.log().sum().item()
            likelihood = log_likelihood(self.networks, test, plane_around(torch.cat([train, test]))).item()
            figures |= {
                "log_likelihood": likelihood - units,
                "kde_log_likelihood": kde_log_likelihood(train, test) - units,
            }
        return figures

    def save(self) -> None:
        """Write model.safetensors: the network, the scale, the box and the ground."""
        rest = {"scale.shift": self.scale.shift, "scale.spread": self.scale.spread, "box": torch.tensor(self.box)}
        rest |= {} if self.ground is None else {"ground": self.ground}
        self.folder.save_model({f"networks.{k}": v for k, v in self.networks.state_dict().items()} | rest)

    def _logits(self, x: Tensor) -> Tensor:
        return torch.cat([self.networks(part)[0] for part in self._inputs(x)])

    def _inputs(self, x: Tensor) -> Iterator[Tensor]:
        """Points or images as inputs of the stack of one, [1, part, ...], not too many images at a time."""
        shape = tuple(self.scale.shift.shape)
        if x.shape[1:] != shape:
            kind, wanted = ("images" if len(shape) == 3 else "points"), ", ".join(map(str, shape))
            raise UserError(f"The run takes {kind} of shape [n, {wanted}], not {list(x.shape)}.")
        for part in x.split(PART if len(shape) == 3 else max(len(x), 1)):
            yield self.scale.to_inputs(part.to(self.scale.shift))[None]


def plane_around(inputs: Tensor) -> Grid:
    """The grid on which densities of inputs, [n, 2], are normalised and drawn."""
    return Grid(*find_box(inputs, MARGIN))


def sample_inputs(
    networks: AnyNetworks, sgld: SGLD, shape: tuple[int, ...], box: tuple[float, float], n: int, seed: int
) -> Tensor:
    """Inputs that the energy model of one network draws, [n, *shape], by chains from noise in the box."""
    device = next(networks.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    start = torch.empty(1, n, *shape, device=device, dtype=torch.float32).uniform_(*box, generator=generator)
    return sgld(networks, start, generator)[0]


def load_run(folder: str | Path, device: str = "cpu") -> Run:
    """Read a finished run of the vision track from its folder.

    Raises:
        UserError: if it is no run folder, or it holds several seeds, the run is not finished, or a file is damaged.
    """
    run_folder = RunFolder.open(Path(folder), tracks=TRACKS)
    recipe = load_recipe(str(run_folder / "config.toml"))
    if recipe.seeds > 1:
        raise UserError(f"{folder} holds {recipe.seeds} runs; name one of them, as {folder}/seed{recipe.seed}.")
    place = find_device(device)
    try:
        state = {name: tensor.to(place) for name, tensor in run_folder.load_model().items()}
        scale = Scale(state.pop("scale.shift"), state.pop("scale.spread"))
        low, high = state.pop("box").tolist()
        ground = state.pop("ground", None)
        weights = {name.removeprefix("networks."): tensor for name, tensor in state.items()}
        networks = new_networks(recipe, 1, scale.shape, clusters_in(weights, recipe), 0)
        networks = networks.to(place, torch.float32)
        networks.load_state_dict(weights)
        if not (low < high and (scale.spread > 0).all()):
            raise ValueError(f"the box [{low}, {high}] or the spread {scale.spread} is none")
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{run_folder / 'model.safetensors'} does not fit {run_folder / 'config.toml'}.") from error
    return Run(run_folder, recipe, networks, scale, (low, high), ground)
