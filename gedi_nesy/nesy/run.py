"""A trained run: its folder, its networks, and the questions that they answer."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gedi_nesy.core.energy import log_density, ood_score
from gedi_nesy.core.reference import Reference
from gedi_nesy.core.sgld import SGLD, start_noise
from gedi_nesy.data import Images, load_images
from gedi_nesy.data.blank import are_blank
from gedi_nesy.data.given_images import GivenImages
from gedi_nesy.data.scale import SCALES, Scale
from gedi_nesy.errors import UserError
from gedi_nesy.html_table import html_table
from gedi_nesy.logic.deepproblog import deepproblog_model, query
from gedi_nesy.logic.program import Source, read_text
from gedi_nesy.nesy.candidates import build_networks, network_shapes
from gedi_nesy.nesy.evaluate import evaluate_networks
from gedi_nesy.nesy.export import export_network
from gedi_nesy.nesy.given import given_inputs
from gedi_nesy.nesy.joint import load_examples
from gedi_nesy.nesy.losses import build_sgld, start_ground
from gedi_nesy.nesy.predictions import CHUNK, predict_log_probs
from gedi_nesy.nesy.queries import Rule, ask, parts_of
from gedi_nesy.nesy.reading import Readings, reading_state, saved_readings
from gedi_nesy.nesy.recipe import Recipe, load_recipe
from gedi_nesy.nesy.rows import score_rows
from gedi_nesy.nesy.settle import as_it_was, own_networks
from gedi_nesy.nesy.table import read_examples
from gedi_nesy.networks.own import Network
from gedi_nesy.report.words import FIGURES, SECTIONS, TEST, written
from gedi_nesy.runs.device import float32_default
from gedi_nesy.runs.dotted import flatten
from gedi_nesy.runs.folder import RunFolder

if TYPE_CHECKING:
    from deepproblog.model import Model

Named = Mapping[Any, Tensor] | Sequence[Tensor] | Tensor  # images by a number or a name
VIEWS = 8
ALL = "all"  # of a data set: each image in one example
DOUBT = 10.0  # chosen on font letters, random strokes, grey CIFAR-10, turned digits and noise
PROGRAM = "program.pl"  # a run's copy: the file it came from may change
RULE = "rule."  # in model.safetensors, before the names of the rule's own parameters, rule.weights...


class Run:
    """A finished run, as `train` returns it and `load_run` reads it.

    Attributes:
        folder: where everything about it lies.
        recipe: every setting it was trained with.
        rule: what it was trained on, with the probabilities it learned: a constraint, or the `Queries` of several.
        constraint: the rule, of several queries the first one.
        networks: the trained networks by their names in the program, in eval mode, giving logits.
        summary: the contents of `summary.json`.
        readings: how each network reads its inputs, by its name in the program.
    """

    def __init__(
        self,
        folder: RunFolder,
        recipe: Recipe,
        rule: Rule,
        networks: nn.ModuleDict,
        device: torch.device,
        readings: Readings | None = None,
    ):
        self.folder, self.recipe, self.device = folder, recipe, device
        readings = readings or saved_readings(recipe, list(networks), {}, device)  # grey images of 28x28 on black
        self.readings: Readings = readings
        self.rule = rule.requires_grad_(False).to(self.device)
        self.constraint = parts_of(self.rule)[0]
        self.networks = networks.eval().requires_grad_(False).to(self.device)
        self.domains = {variable.network: variable.domain for variable in rule.variables}
        self.shapes = network_shapes(rule, {name: reading.shape for name, reading in readings.items()})

    def __repr__(self) -> str:
        data = Path(self.recipe.data or str(self.recipe.dataset)).stem
        return (
            f"Run({self.folder.path}: {self.recipe.recipe} on {data}, {self.recipe.examples:,} examples of "
            f"{self.goal}, seed {self.recipe.seed})"
        )

    def _repr_html_(self) -> str:
        rows = flatten(self.summary)
        keys = [*SECTIONS[TEST], "certificate.certified", "certificate.failures", "seconds"]
        figures = [(FIGURES[key].title, written(key, rows[key])) for key in keys if key in rows]
        return html_table([("Run", self.folder.path), ("Rule", self.goal), *figures])

    @property
    def goal(self) -> str:
        """Its query, or its queries."""
        return "; ".join(str(part.query.goal) for part in parts_of(self.rule))

    @property
    def source(self) -> Source:
        """The run's program."""
        return self.constraint.program.source

    @property
    def probabilities(self) -> dict[str, float]:
        """What the run learned for each `t(...)` of the program, by what it stands before: {"heads": 0.7}."""
        return dict(zip(self.constraint.program.parameter_names, self.constraint.weights.probabilities(), strict=True))

    def save(self) -> None:
        """Write `model.safetensors`: the weights, the logits of the rule's probabilities, and what readings need."""
        rule = {RULE + name: value for name, value in self.constraint.state_dict().items()}
        self.folder.save_model(self.networks.state_dict() | rule | reading_state(self.readings))

    @property
    def summary(self) -> dict[str, Any]:
        """The contents of `summary.json`."""
        return self.folder.read_json("summary.json")

    @property
    def scale(self) -> Scale:
        """How this run turns the bytes of pictures into inputs."""
        return SCALES[self.recipe.scale]

    def log_probs(self, images: GivenImages, network: str | None = None) -> Tensor:
        """log p(y|x), [images, classes].

        Args:
            images: uint8, or floats in [0, 1], as a tensor, an array or nested lists, [images, C, H, W], for grey ones
                [images, H, W] or a single [H, W]. Or the path of an image file, or a list of paths. For a network that
                reads several images at once, these are the channels. Of a run on vectors [n, D].
            network: its name in the program; may be left out when there is only one.
        """
        return predict_log_probs(self._network(network), self._inputs(images, network))

    def predict(self, images: GivenImages, network: str | None = None) -> list[object]:
        """The most probable symbol of each image, from the network's domain in the program; blank images, of which it
        means nothing, are named in a warning.
        """
        domain, inputs = self.domains[self._name(network)], self._inputs(images, network)
        reading = self.readings[self._name(network)]
        blank: list[int] = []
        if not reading.is_vector:
            blank = are_blank(self.scale.to_unit(inputs), reading.shape[0]).nonzero().flatten().tolist()
        if blank:
            which = ", ".join(map(str, blank[:8])) + ", ..." * (len(blank) > 8)
            warnings.warn(f"{len(blank)} of {len(inputs)} images are blank: nothing to read on {which}", stacklevel=2)
        return [domain[index] for index in predict_log_probs(self._network(network), inputs).argmax(-1).tolist()]

    def reference(self, network: str | None = None) -> Reference | None:
        """r(x) of a network's p(x), proportional to exp(logsumexp f(x)) r(x); None where it is uniform."""
        variance = self.recipe.sampler.reference if self.recipe.sampler and self.recipe.has_energy_model else None
        name = self._name(network)
        return None if variance is None else self.readings[name].reference(variance, self.shapes[name].images)

    def sampler(self, network: str | None = None) -> SGLD:
        """The sampler of a network's p(x).

        Raises:
            UserError: if the run was trained without L_GEN, so that its energy is no model of its inputs.
        """
        settings = self.recipe.sampler
        if settings is None or not self.recipe.has_energy_model:
            raise UserError(
                f"The run {self.folder.path} was trained without L_GEN, so its energy can't be sampled from."
            )
        name = self._name(network)
        return build_sgld(settings, self.readings[name], self.shapes[name], self.networks[name])

    @torch.no_grad()
    def energy(self, images: GivenImages, network: str | None = None) -> Tensor:
        """-log p(x) up to a constant, [images], in nats: high for images unlike the training images.

        It is E(x) = -logsumexp f(x), and where the recipe has a reference density E(x) - log r(x).
        """
        net, reference = self._network(network), self.reference(network)
        chunks = self._inputs(images, network).split(CHUNK)
        return torch.cat([-log_density(net(chunk), chunk, reference) for chunk in chunks])

    def ood_score(self, images: GivenImages, network: str | None = None) -> Tensor:
        """s(x) = -||d log p(x)/dx||_2, [images]: the paper's score (Section N), low for foreign images."""
        net, reference = self._network(network), self.reference(network)
        chunks = self._inputs(images, network).split(CHUNK)
        return torch.cat([ood_score(net, chunk, reference) for chunk in chunks])

    @torch.no_grad()
    @float32_default()
    def familiarity(self, images: GivenImages, network: str | None = None) -> Tensor:
        """How much images are like the training images, [images], in nats: high for familiar ones.

        The mean of log p over VIEWS views of the training's own T(x'|x), less DOUBT times the entropy of the mean
        prediction: energies miss strokes that hesitate between two digits, and confidence alone misses noise.
        """
        net, stage, reference = self._network(network), self.recipe.last, self.reference(network)
        reading = self.readings[self._name(network)]
        generator = torch.Generator(self.device).manual_seed(0)
        scores = []
        for chunk in self._inputs(images, network).split(CHUNK):
            views = [reading.view(chunk, stage, generator) for _ in range(VIEWS)]
            logits = [net(view) for view in views]  # for each view [images, classes]
            densities = [log_density(f, x, reference) for f, x in zip(logits, views, strict=True)]
            doubt = torch.special.entr(torch.stack(logits).softmax(-1).mean(0)).sum(-1)
            scores.append(torch.stack(densities).mean(0) - DOUBT * doubt)
        return torch.cat(scores)

    def sample(self, n: int, *, steps: int | None = None, seed: int = 0, network: str | None = None) -> Tensor:
        """Draw images from the energy model with SGLD chains that start from uniform noise.

        Args:
            n: how many chains.
            steps: SGLD steps of each; by default as many as a chain lives in training on average.
            seed: of the noise.
            network: its name in the program; may be left out when there is only one.

        Returns:
            Intensities in [0, 1], [n, C, H, W], with more channels for a network that reads several images at once; or
            vectors, [n, D].

        Raises:
            UserError: if the run was trained without L_GEN, so that its energy is no model of images, or there is
                nothing to draw.
        """
        sampler, name = self.sampler(network), self._name(network)
        assert self.recipe.sampler is not None
        steps = self.recipe.sampler.life if steps is None else steps
        if n < 1 or steps < 1:
            raise UserError(f"n and steps must be whole numbers from 1 on, not {n!r} and {steps!r}.")
        generator = torch.Generator(self.device).manual_seed(seed)
        reading, shape = self.readings[name], self.shapes[name]
        scale, ground = reading.scale, start_ground(self.recipe.sampler, reading, shape)
        start = start_noise((n, *shape.input), (scale.low, scale.high), generator, ground)
        return scale.to_unit(replace(sampler, steps=steps)(self.networks[name], start, generator))

    @float32_default()
    def evaluate(
        self, data_dir: Path | None = None, *, test: str | Path | None = None, features: str | Path | None = None
    ) -> dict[str, Any]:
        """Score on the test images of the data set that the run was trained on, or on a table.

        Args:
            data_dir: where data sets lie; by default $GEDI_NESY_DATA, then the user's cache folder.
            test: a table of examples that were not trained on; by default, of a run on a table, the training examples.
                "all" cuts the test images into examples that use each once, as a run with `each_once` is scored anyway.
            features: of a table of vectors by name, the feature file that has them; by default the run's.

        Returns:
            The figures of summary.json; on a table the figures of `rows.score_rows`.

        Raises:
            UserError: if the data set or the table can't be read.
        """
        whole = str(test) == ALL
        if whole:
            test = None
        if test or (self.recipe.data and not whole):
            others = (Path(path) if path else None for path in (test, features))
            examples = read_examples(self.recipe, self.rule, self.folder.path, *others)
            loader = load_examples(examples, self.rule, self.readings, self.device)
            prefix, stage = ("test_", None) if test else ("train_", self.recipe.last)
            return score_rows(self.networks, self.rule, loader, prefix, stage)
        images, once = self.images(data_dir), whole or self.recipe.each_once
        return evaluate_networks(self.networks, self.rule, images, self.readings, self.device, once).figures

    def export(self, path: str | Path, network: str | None = None) -> None:
        """Write a network as a TorchScript file, which `torch.jit.load` reads without this package.

        It takes pictures as floats in [0, 1], [n, C, H, W], or vectors, [n, D], and gives log p(y|x), [n, classes].

        Args:
            path: the file, by custom with the ending .pt.
            network: its name in the program; may be left out when there is only one.

        Raises:
            UserError: the network can't be traced, or the file can't be written.
        """
        name = self._name(network)
        shape = self.shapes[name]
        export_network(self.networks[name], self.readings[name].scale, shape.input, shape.images, Path(path))

    def deepproblog_model(
        self, program: str | Path | None = None, sources: Mapping[str, Named] | None = None
    ) -> "Model":
        """A DeepProbLog model in which the trained networks answer the program's neural predicates.

        Args:
            program: a ProbLog program, its path or its text; by default the one the run was trained on.
            sources: images by the name that a goal gives them: `tensor(test(0))` is `sources["test"][0]`; uint8, or
                floats in [0, 1], each [1, 28, 28].

        Returns:
            The model with DeepProbLog's exact engine set.
        """
        inputs = {name: self._source(images) for name, images in (sources or {}).items()}
        networks = {name: _Joined(network) for name, network in self.networks.items()}
        model = deepproblog_model(program or self.source, networks, inputs, trust=self.recipe.trust)
        if program is None:
            model.parameters = self.constraint.weights.probabilities()
        return model

    def query(self, goal: str, program: str | None = None, data_dir: Path | None = None) -> dict[str, float]:
        """Answer a goal with DeepProbLog's own solver; `tensor(test(0))` is the first test image.

        Of a run on a table, `tensor(x(2))` is the image in column X and line 2, the line after the heading.

        Args:
            goal: a goal of the program, with or without variables.
            program: a file, or the name of one of ours; by default the one the run was trained on.
            data_dir: where data sets lie.

        Returns:
            The probability of each answer.
        """
        return query(self.deepproblog_model(program, self._own_sources(data_dir)), goal)

    def _own_sources(self, data_dir: Path | None) -> dict[str, Named]:
        """What `query` calls images: train and test, or the columns of a table in small letters, by line."""
        if self.recipe.data:
            columns: dict[str, dict[Any, Tensor]] = {}
            for table in read_examples(self.recipe, self.rule, self.folder.path):
                for name, rows in table.rows.items():
                    column = columns.setdefault(name.lstrip("_").lower(), {})
                    column |= dict(zip(table.lines, table.pool[rows], strict=True))
            return dict(columns)
        images = self.images(data_dir)
        return {"train": images.x_train, "test": images.x_test}

    def _source(self, images: Named) -> Mapping[Any, Tensor] | Tensor:
        if isinstance(images, Mapping):
            return dict(zip(images, self._sourced(torch.stack([*images.values()])), strict=True))
        return self._sourced(images if isinstance(images, Tensor) else torch.stack(list(images)))

    def images(self, data_dir: Path | None = None) -> Images:
        """The data set that the run was trained on; UserError if it was trained on a table of one's own."""
        if self.recipe.dataset is None:
            raise UserError(f"{self.folder.path} was trained on a table, {self.recipe.data}, without test images.")
        return load_images(self.recipe.dataset, data_dir).at(self.recipe.size, self.recipe.channels)

    def own_images(self, data_dir: Path | None = None, network: str | None = None) -> Tensor:
        """Images of a network's own kind, uint8 [n, C, H, W], or vectors, float [n, D]: for tests, or of its table."""
        name = self._name(network)
        if self.recipe.data:
            tables = zip(parts_of(self.rule), read_examples(self.recipe, self.rule, self.folder.path), strict=True)
            calls = ((call, table) for part, table in tables for call in part.variables)
            return next(table.inputs.pools[call.inputs[0]] for call, table in calls if call.network == name)
        return self.images(data_dir).x_test

    def _sourced(self, images: Tensor) -> Tensor:
        """Single images as inputs, as all networks read them.

        Raises:
            UserError: they read inputs of different shapes.
        """
        first, *others = self.readings.values()
        if any(other.shape != first.shape for other in others):
            raise UserError("DeepProbLog's solver needs networks that read inputs of one shape.")
        return given_inputs(images, first, 1, self.device)

    def _name(self, network: str | None) -> str:
        if network is None and len(self.networks) == 1:
            return next(iter(self.networks))
        if network is None or network not in self.networks:
            raise UserError(f"Name one of the run's networks: {', '.join(self.networks)}; {network!r} is none.")
        return network

    def _network(self, network: str | None) -> nn.Module:
        return self.networks[self._name(network)]

    def _inputs(self, images: GivenImages, network: str | None) -> Tensor:
        name = self._name(network)
        return given_inputs(images, self.readings[name], self.shapes[name].images, self.device)


class _Joined(nn.Module):
    """A network as DeepProbLog calls it, with each image an argument of its own."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, *images: Tensor) -> Tensor:
        logits: Tensor = self.network(torch.cat(images, 1))
        return logits


def load_run(
    folder: str | Path,
    device: str = "cpu",
    *,
    trust: bool = False,
    network: Network | Mapping[str, Network] | None = None,
) -> Run:
    """Read a finished run from its folder.

    Args:
        folder: as `train` wrote it.
        device: where to put the networks, whatever they were trained on.
        trust: let the run's program load Python and files outside its folder, and execute the file of a user's network.
            A run that was trained with trust needs it again, because a run folder may come from anywhere.
        network: the class or function that made the networks, where they are a user's own; or for some of the rule's
            networks. Without it the run's config.toml says where it is.

    Raises:
        UserError: if it is no run folder, the run is not finished, or a file is damaged.
    """
    run_folder = RunFolder.open(Path(folder), tracks=["rule"])
    # older runs had a setting `rounds`, which says nothing about a trained network
    recipe = as_it_was(load_recipe(str(run_folder / "config.toml"), {"trust": trust, "rounds": 1}))
    rule = ask_recipe(recipe, saved_program(run_folder, recipe))
    shapes = network_shapes(rule, {name: read.shape for name, read in recipe.inputs.items()})
    networks = build_networks(shapes, recipe.build(recipe.last, own_networks(recipe, network))).float()
    state = run_folder.load_model()
    learnt = {name: state.pop(name) for name in list(state) if name.startswith(f"{RULE}weights.")}
    try:
        readings = saved_readings(recipe, list(shapes), state, torch.device(device))
        networks.load_state_dict(state)
        parts_of(rule)[0].load_state_dict({name.removeprefix(RULE): value for name, value in learnt.items()})
    except (RuntimeError, KeyError) as error:
        raise UserError(f"{run_folder / 'model.safetensors'} does not fit the rule in program.pl.") from error
    return Run(run_folder, recipe, rule, networks, torch.device(device), readings)


def saved_program(folder: RunFolder, recipe: Recipe) -> Source:
    """A run's program as it was when the run began; the files it loads are the run folder's, whatever the recipe says.

    Raises:
        UserError: if the folder holds none that can be read.
    """
    return Source(folder.read_text(PROGRAM), Path(recipe.program).name or PROGRAM, folder.path)


def copied_files(rule: Rule, program: Source) -> dict[str, str]:
    """What a run folder needs beside its settings, text by file name: the program, and the files it loads, if they are
    in its folder; others need trust and stay where they are.

    Raises:
        UserError: one of them has the name that the run's program gets.
    """
    folder = program.folder.resolve()
    consulted = dict.fromkeys(path for part in parts_of(rule) for path in part.consulted)
    loaded = [path.relative_to(folder) for path in consulted if folder in path.parents]
    if Path(PROGRAM) in loaded:
        raise UserError(f"the program loads a file named {PROGRAM}, as a run calls its own program: rename it.")
    return {PROGRAM: program.text} | {path.as_posix(): read_text(folder / path) for path in loaded}


def ask_recipe(recipe: Recipe, program: Source) -> Rule:
    """The rule that a recipe trains on."""
    return ask(program, recipe.query, recipe.arguments, trust=recipe.trust)
