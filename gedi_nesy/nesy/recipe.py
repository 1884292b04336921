"""Recipes: every setting of a run as data, read from TOML, checked, and written back complete."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from gedi_nesy.core.terms import TERMS, like
from gedi_nesy.errors import UserError
from gedi_nesy.methods import FAMILY, OURS, WITH_RULE, check_method
from gedi_nesy.nesy.candidates import Build
from gedi_nesy.networks.mnist_net import FEATURES
from gedi_nesy.networks.own import Network
from gedi_nesy.runs import recipe
from gedi_nesy.runs.device import has_bf16
from gedi_nesy.runs.recipe import Probability
from gedi_nesy.runs.settings import Settings, load_settings, names_in
from gedi_nesy.runs.weights import TermWeights, with_terms

RECIPES = Path(__file__).parent.parent / "recipes"
FEW, MANY = 300, 5000  # numbers of examples up to which, and from which on, our recipe is another one
DEFAULT_EXAMPLES = 1000


@with_terms(rule=True)
class Weights(TermWeights):
    """The weight of each term of the objective: a number, or [progress, value] points with lines between them."""


class Sampler(recipe.Sampler):
    """SGLD for the networks of a rule.

    Left out of a recipe, `engine` is "numba" on the CPU where numba is installed, otherwise "torch". `distorted` is the
    number of distorted training images that `weights.distorted` tells from the data: chains hardly ever come where the
    two are hard to tell apart. `ahead` advances chains in a second thread beside the next step (`core.chains`).
    Networks that the compiled code doesn't know are sampled by torch. `faint` lets chains of drawings on one ground
    begin in noise of any strength (`core.sgld.start_noise`).
    """

    retired: ClassVar[Mapping[str, Any]] = {"every": 1}

    step_size: PositiveFloat = 1.0
    noise: NonNegativeFloat = 0.01
    clamp: bool = True
    distorted: NonNegativeInt = 0
    ahead: bool = False
    faint: bool = False
    engine: Literal["torch", "numba"]


class Stage(recipe.Stage):
    """One training stage; its batch is a number of examples."""

    steps: PositiveInt | None = None
    epochs: PositiveInt | None = None
    calls: PositiveInt | None = None  # of networks in a batch, at most: where a rule has many, fewer examples
    l2: NonNegativeFloat = 0.0
    network: Literal["mnist_net", "strided"] = "mnist_net"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # before the linear layers of "strided"
    bf16: bool = False  # networks compute in bfloat16 while they train; "auto" where the device is quick at it
    prior: Literal["entropy", "uniform", "rule", "learned"] = "rule"
    warp: NonNegativeFloat = 0.0  # factor of `views.drawings.Warp`'s deviations
    noise: NonNegativeFloat = 0.0
    weights: Weights

    @field_validator("warp", mode="before")
    @classmethod
    def _read_switch(cls, value: Any) -> Any:
        """Once it was on or off, and so it stands in the config.toml of older runs."""
        return float(value) if isinstance(value, bool) else value

    @field_validator("bf16", mode="before")
    @classmethod
    def _choose_precision(cls, value: Any) -> Any:
        """Bfloat16 where the CPU has instructions for it; config.toml keeps whether it had."""
        return has_bf16() if value == "auto" else value

    @model_validator(mode="after")
    def _one_length(self) -> "Stage":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        names = [name for name, term in TERMS.items() if term.guides and name != "gen"]  # it gives symbols no names
        if not set(names) & set(self.weights.always()):
            raise ValueError(f"one of the weights {', '.join(names)} must be above 0 throughout")
        return self

    def examples_of(self, calls: int) -> int:
        """How many examples a batch has where each calls networks so often."""
        return self.batch if self.calls is None else max(1, min(self.batch, self.calls // calls))

    def length(self, examples: int, calls: int) -> int:
        """The number of optimiser steps on this many examples, each of which calls networks so often."""
        return self.steps or self.epochs * -(-examples // self.examples_of(calls))  # type: ignore[operator]


class View(Settings):
    """Random views of pictures and vectors, where a stage's `warp` is above 0; drawings are warped and recoloured.

    Attributes:
        crop: least share of a picture's area that is kept.
        flip: probability of a mirror image; 0, for many symbols are not their mirror images', as an arrow or a 3.
        jitter: probability of other brightness, contrast, saturation and hue; of drawings on grounds of their own, that
            their channels change places and signs.
        desaturate: probability that a picture loses its colour.
        noise: standard deviation of a vector's noise, in units of each feature's own.
        dropout: share of a vector's features that are left out; networks called mlp-... leave out some themselves.
    """

    crop: Annotated[float, Field(gt=0, le=1)] = 0.5
    flip: Probability = 0.0
    jitter: Probability = 0.8
    desaturate: Probability = 0.2
    noise: NonNegativeFloat = 0.3
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Read(Settings):
    """What one of the rule's networks reads: the shape of an image, (C, H, W), or of a vector, (D,), and its kind."""

    shape: tuple[PositiveInt, ...]
    kind: Literal["drawing", "coloured drawing", "picture", "vector"]


class Matching(Settings):
    """The search for symbols by the likeness of the inputs, without a network (`nesy.matching`)."""

    examples: PositiveInt  # at most so many are matched
    chains: PositiveInt
    sweeps: PositiveInt
    neighbours: PositiveInt
    repulsion: PositiveFloat
    skewed: PositiveInt = 900  # where the prior is learned, and symbols may be rare: images that are matched at least
    separation: Probability = 0.0  # the least that the symbols found must have (`Matched.separation`), of three images


class Recipe(recipe.RunRecipe):
    """A complete description of a run on a rule."""

    retired: ClassVar[Mapping[str, Any]] = {"rounds": 1, "width": 1}

    track: Literal["rule"] = "rule"
    program: str = "addition"
    query: str | tuple[str, ...] | None = None  # or several, of which each example satisfies one (`nesy.queries`)
    arguments: tuple[str, ...] = ()
    trust: bool = False  # let the program import Python, and files outside its folder; let a network's file be run
    dataset: str | None = None
    data: str | None = None
    examples: PositiveInt = DEFAULT_EXAMPLES
    each_once: bool = False  # the data set is shuffled and cut: each image is in one example at most (`nesy.cut`)
    size: tuple[PositiveInt, PositiveInt] | None = None  # height and width that images are resized to
    channels: Literal[1, 3] | None = None  # images become grey or colour
    features: str | None = None  # a file of vectors: which inputs are alike, or the inputs themselves (`nesy.table`)
    labels: str | None = None  # a file of a few labelled images (`nesy.labels`)
    network: str | dict[str, str] | None = None  # of all stages, or for some of the rule's networks, by their names
    inputs: dict[str, Read] = Field(default_factory=dict)  # what each of the rule's networks reads, told from the data
    view: View = View()
    scale: Literal["unit", "symmetric", "standard"] = "symmetric"
    dim: PositiveInt = FEATURES  # of the embeddings that some terms compare: a projector's outputs
    head: Literal["linear", "cosine"] = "linear"  # the networks' last layer; SwAV's prototypes are "cosine"
    cycles: PositiveInt = 1
    views: PositiveInt = 25
    agreement: Probability = 0.8
    sampler: Sampler | None = None
    matching: Matching | None = None
    unmatched: Probability | None = None  # the separation of symbols that were matched before restarts took their place
    train: Stage
    student: Stage | None = None

    @model_validator(mode="before")
    @classmethod
    def _choose_engine(cls, values: dict[str, Any]) -> dict[str, Any]:
        """SGLD by compiled code where it can be had, unless the recipe names its engine; config.toml keeps which."""
        sampler = values.get("sampler")
        if not isinstance(sampler, dict) or "engine" in sampler:
            return values
        compiled = values.get("device", "cpu") == "cpu" and find_spec("numba") is not None
        return {**values, "sampler": {**sampler, "engine": "numba" if compiled else "torch"}}

    @field_validator("query")
    @classmethod
    def _different(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        """A single one of several is a text."""
        if not isinstance(value, tuple):
            return value
        if len({text.replace(" ", "") for text in value}) < max(1, len(value)):
            raise ValueError("give at least one query, and none of them twice")
        return value if len(value) > 1 else value[0]

    @model_validator(mode="after")
    def _parts_fit(self) -> "Recipe":
        stages = [self.train] + ([self.student] if self.student else [])
        if self.data and self.dataset:
            raise ValueError("give either data, a table of your own examples, or dataset")
        if self.data and self.each_once:
            raise ValueError("each_once cuts a dataset into examples; data has its own")
        if self.sampler is None and not all(stage.weights.gen.is_zero for stage in stages):
            raise ValueError("weights.gen needs a [sampler]")
        for stage in stages:
            projected = stage.weights.used("embeddings")
            if stage.network != "mnist_net" and (self.head != "linear" or projected):
                names = " and ".join(['head = "cosine"', *(f"weights.{name}" for name in projected)])
                raise ValueError(f'{names} need network = "mnist_net"')
            if stage.network == "mnist_net" and stage.dropout:
                raise ValueError('dropout needs network = "strided"')
            for name in stage.weights.used("gen"):
                if stage.weights.gen.is_zero:
                    raise ValueError(f"weights.{name} goes with weights.gen, which is 0")
            for name in stage.weights.used("prototypes"):
                if self.head != "cosine":
                    raise ValueError(f'weights.{name} needs head = "cosine", whose prototypes it learns')
            if not (stage.weights.distorted.is_zero or (self.sampler and self.sampler.distorted)):
                raise ValueError("weights.distorted needs sampler.distorted, the number of distorted images")
        if self.restarts > 1 and not self.train.weights.gen.is_zero:
            raise ValueError("train.weights.gen needs restarts = 1; with more of them put L_GEN in the student")
        if self.matching and self.cycles > 1:
            raise ValueError("[matching] names the symbols once, so cycles that forget their names must be 1")
        if self.train.weights.teacher.is_zero == (self.matching is not None):
            raise ValueError("train.weights.teacher goes with [matching], which is its teacher")
        if self.restarts > 1 and self.student is None:
            raise ValueError("restarts > 1 needs a [student] that learns from the restarts kept")
        return self

    def build(self, stage: Stage, own: Mapping[str, Network] = MappingProxyType({})) -> Build:
        """How a stage's networks are built; `own` has classes and functions of Python by their descriptions."""
        named = self.network if isinstance(self.network, dict) else {}
        others = {network: own.get(name, name) for network, name in named.items()}
        return Build(stage.network, self.head, stage.dropout, others, self.trust)

    @property
    def last(self) -> Stage:
        """The stage that trains the run's final networks."""
        return self.student or self.train

    @property
    def learns_prior(self) -> bool:
        """Whether the symbols may be of unequal frequency, which is learned from the data."""
        return "learned" in (self.train.prior, self.last.prior)

    @property
    def has_energy_model(self) -> bool:
        """Whether the final network is trained with L_GEN, so that its energies and samples mean something."""
        return not self.last.weights.gen.is_zero


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
    return load_settings(Recipe, name, RECIPES, overrides or {}, "gedi-nesy recipes")


def recipe_for(method: str, examples: int) -> str:
    """The recipe that trains a method on so many examples.

    Raises:
        UserError: if there is no such method, or it has no recipe for this number of examples.
    """
    check_method(method, WITH_RULE)
    if method == OURS:
        return "gedi-nesy-few" if examples <= FEW else "gedi-nesy-many" if examples >= MANY else "gedi-nesy"
    member = method.removesuffix("+nesy")
    base = f"{like(member)}-nesy" if member in FAMILY else method
    layer = f",family/{member}" if member in FAMILY and member != like(member) else ""
    name = f"{base}-addition-{examples}"
    if name not in recipe_names():
        raise UserError(
            f"{method!r} is trained, as in the paper, on 100, 1000 or 10000 examples, not on {examples}; choose one of "
            f"these, or take its settings with gedi-nesy train --recipe {base}-addition-1000{layer} --examples "
            f"{examples}."
        )
    return name + layer
