"""Recipes of the vision track: every setting of a run as data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from gedi_nesy.core.schedule import Schedule
from gedi_nesy.errors import UserError
from gedi_nesy.settings import ScheduleSetting, Settings, load_settings, names_in, nearest

RECIPES = Path(__file__).parent.parent / "recipes" / "vision"
METHODS = ("gedi", "gedi-no-gen", "gedi-no-inv", "gedi-no-prior", "gedi-two-stage", "jem", "swav", "barlow")


class Weights(Settings):
    """The weight of each term of the objective: a number, or [progress, value] points with lines between them."""

    gen: ScheduleSetting = Schedule.of(0.0)
    inv: ScheduleSetting = Schedule.of(0.0)
    prior: ScheduleSetting = Schedule.of(0.0)
    swav: ScheduleSetting = Schedule.of(0.0)
    barlow: ScheduleSetting = Schedule.of(0.0)
    energy_l2: ScheduleSetting = Schedule.of(0.0)


class Network(Settings):
    """Encoder, projector and cluster head: widths after the input, ReLU inside each of the two perceptrons."""

    encoder: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    projector: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    head: Literal["cosine", "linear"] = "cosine"
    temperature: PositiveFloat = 0.1


class View(Settings):
    """T(x'|x): a walk of so many steps on the graph of nearest neighbours, then Gaussian noise; 0 leaves one out."""

    noise: NonNegativeFloat
    walk: NonNegativeInt = 0
    neighbours: PositiveInt = 20
    shared: Annotated[float, Field(ge=0, le=1)] = 0.5


class Sampler(Settings):
    """SGLD: x += step_size * d log p(x)/dx + noise * N(0, 1), from a replay buffer.

    Chains start uniformly in a box: the range of the training points, and `margin` of its width more on each side.
    """

    chains: PositiveInt
    steps: PositiveInt
    step_size: PositiveFloat
    noise: NonNegativeFloat
    clamp: bool = False
    margin: NonNegativeFloat = 0.25
    buffer: PositiveInt = 10_000
    reinit: Annotated[float, Field(ge=0, le=1)] = 0.05
    every: PositiveInt = 1

    @model_validator(mode="after")
    def _chains_fit(self) -> "Sampler":
        if self.chains > self.buffer:
            raise ValueError(f"sampler.chains = {self.chains} needs a sampler.buffer of at least as many")
        return self


class Stage(Settings):
    """One training stage."""

    steps: PositiveInt
    batch: PositiveInt
    learning_rate: ScheduleSetting
    l2: NonNegativeFloat = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weights: Weights

    @model_validator(mode="after")
    def _trains_something(self) -> "Stage":
        always = [name for name, weight in self.weights if all(value > 0 for _, value in weight.points)]
        if not {"gen", "inv", "prior", "swav", "barlow"} & set(always):
            raise ValueError("one of the weights gen, inv, prior, swav and barlow must be above 0 throughout")
        return self


class Recipe(Settings):
    """A complete description of a run: `restarts` networks through `pretrain` and `train`, the best one `refine`d."""

    recipe: str
    method: str
    about: str
    dataset: str = "moons"
    examples: PositiveInt = 1000
    data_noise: NonNegativeFloat = 0.05
    clusters: PositiveInt | None = None  # as many as there are labels, where it is left out
    scale: Literal["none", "standard"] = "standard"
    seed: Annotated[int, Field(ge=0, lt=2**28)] = 0
    seeds: PositiveInt = 1  # trained side by side: seed, seed + 1, ..., each with points and networks of its own
    device: str = "cpu"
    threads: PositiveInt = 1
    restarts: PositiveInt = 1
    log_every: PositiveInt = 100
    checkpoint_seconds: NonNegativeFloat = 20.0
    network: Network
    view: View
    sampler: Sampler | None = None
    pretrain: Stage | None = None
    train: Stage
    refine: Stage | None = None

    @property
    def stages(self) -> dict[str, Stage]:
        """The stages in their order."""
        stages = {"pretrain": self.pretrain, "train": self.train, "refine": self.refine}
        return {name: stage for name, stage in stages.items() if stage}

    @property
    def has_energy_model(self) -> bool:
        """Whether the final networks are trained with L_GEN, so that their energies and samples mean something."""
        return not (self.refine or self.train).weights.gen.is_zero

    @model_validator(mode="after")
    def _parts_fit(self) -> "Recipe":
        for stage in self.stages.values():
            if self.sampler is None and not stage.weights.gen.is_zero:
                raise ValueError("weights.gen needs a [sampler]")
            if stage.weights.gen.is_zero and not stage.weights.energy_l2.is_zero:
                raise ValueError("weights.energy_l2 goes with weights.gen, which is 0")
            if not stage.weights.swav.is_zero and self.network.head != "cosine":
                raise ValueError('weights.swav needs network.head = "cosine", whose prototypes it learns')
        if not self.train.weights.barlow.is_zero and self.network.head != "linear":
            raise ValueError(
                'weights.barlow needs network.head = "linear", which is fitted to the embeddings afterwards'
            )
        return self


def recipe_names() -> list[str]:
    """The names of the recipes that come with the package."""
    return names_in(RECIPES)


def load_recipe(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe by its name, or from a TOML file, and change some of its settings.

    Args:
        name: one of `recipe_names()`, or the path of a .toml file (a run's config.toml is one).
        overrides: settings by dotted name, for example {"seed": 3, "train.weights.prior": 40}.

    Raises:
        UserError: for an unknown recipe or key, or a value that a setting can't take.
    """
    return load_settings(Recipe, name, RECIPES, overrides or {}, "gedi-nesy vision recipes")


def recipe_for(method: str, published: bool = False) -> str:
    """The recipe that trains a method: ours, or the paper's.

    Raises:
        UserError: if there is no such method.
    """
    if method not in METHODS:
        hint = nearest(method, list(METHODS))
        raise UserError(f"There is no method {method!r}{hint}; choose from {', '.join(METHODS)}.")
    return f"paper-{method}" if published else method
