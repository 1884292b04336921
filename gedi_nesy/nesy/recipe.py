"""Recipes: every setting of a run as data, read from TOML, checked, and written back complete."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from gedi_nesy.core.schedule import Schedule
from gedi_nesy.errors import UserError

RECIPES = Path(__file__).parent.parent / "recipes"
METHODS = ("gedi+nesy", "paper", "gedi", "nesy")


def _write_schedule(schedule: Schedule) -> float | list[list[float]]:
    constant = len({value for _, value in schedule.points}) == 1
    return schedule.points[0][1] if constant else [list(point) for point in schedule.points]


ScheduleSetting = Annotated[Schedule, BeforeValidator(Schedule.of), PlainSerializer(_write_schedule)]


class Settings(BaseModel):
    """A group of settings: plain values, nothing unknown, nothing missing."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Weights(Settings):
    """The weight of each term of the objective: a number, or [progress, value] points with lines between them."""

    gen: ScheduleSetting = Schedule.of(0.0)
    nesy: ScheduleSetting = Schedule.of(0.0)
    prior: ScheduleSetting = Schedule.of(0.0)
    inv: ScheduleSetting = Schedule.of(0.0)
    teacher: ScheduleSetting = Schedule.of(0.0)
    energy_l2: ScheduleSetting = Schedule.of(0.0)


class Sampler(Settings):
    """SGLD (paper, Appendix O): x += step_size * d log p(x)/dx + noise * N(0, 1), from a replay buffer."""

    chains: PositiveInt
    steps: PositiveInt
    step_size: PositiveFloat = 1.0
    noise: NonNegativeFloat = 0.01
    clamp: bool = True
    buffer: PositiveInt = 10_000
    reinit: Annotated[float, Field(ge=0, le=1)] = 0.05
    every: PositiveInt = 1
    engine: Literal["torch", "numba"] = "torch"

    @model_validator(mode="after")
    def _chains_fit(self) -> "Sampler":
        if self.chains > self.buffer:
            raise ValueError(f"sampler.chains = {self.chains} needs a sampler.buffer of at least as many")
        return self


class Stage(Settings):
    """One training stage."""

    steps: PositiveInt | None = None
    epochs: PositiveInt | None = None
    batch: PositiveInt
    learning_rate: ScheduleSetting
    l2: NonNegativeFloat = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    prior: Literal["entropy", "uniform", "rule"] = "rule"
    warp: bool = False
    noise: NonNegativeFloat = 0.0
    weights: Weights

    @model_validator(mode="after")
    def _one_length(self) -> "Stage":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        always = [name for name, weight in self.weights if all(value > 0 for _, value in weight.points)]
        if not {"nesy", "prior", "inv", "teacher"} & set(always):
            raise ValueError("one of the weights nesy, prior, inv and teacher must be above 0 throughout")
        return self

    def length(self, examples: int) -> int:
        """The number of optimiser steps on this many examples."""
        return self.steps or self.epochs * -(-examples // self.batch)  # type: ignore[operator]


class Recipe(Settings):
    """A complete description of a run."""

    recipe: str
    method: str
    about: str
    program: str = "addition"
    query: str | None = None
    arguments: tuple[str, ...] = ()
    dataset: str | None = None
    data: str | None = None
    examples: PositiveInt = 1000
    seed: Annotated[int, Field(ge=0, lt=2**28)] = 0
    device: str = "cpu"
    threads: PositiveInt = 1  # on the CPU: networks this small gain nothing from more, and results stay the same
    scale: Literal["unit", "symmetric", "standard"] = "symmetric"
    restarts: PositiveInt = 1
    cycles: PositiveInt = 1
    views: PositiveInt = 25
    agreement: Annotated[float, Field(ge=0, le=1)] = 0.8
    log_every: PositiveInt = 100
    checkpoint_seconds: NonNegativeFloat = 20.0
    sampler: Sampler | None = None
    train: Stage
    student: Stage | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> "Recipe":
        stages = [self.train] + ([self.student] if self.student else [])
        if self.data and self.dataset:
            raise ValueError("give either data, a table of your own examples, or dataset")
        if self.sampler is None and not all(stage.weights.gen.is_zero for stage in stages):
            raise ValueError("weights.gen needs a [sampler]")
        for stage in stages:
            if stage.weights.gen.is_zero and not stage.weights.energy_l2.is_zero:
                raise ValueError("weights.energy_l2 goes with weights.gen, which is 0")
        if self.restarts > 1 and not self.train.weights.gen.is_zero:
            raise ValueError("train.weights.gen needs restarts = 1; with more of them put L_GEN in the student")
        if not self.train.weights.teacher.is_zero:
            raise ValueError("train.weights.teacher: only the student has a teacher")
        if self.restarts > 1 and self.student is None:
            raise ValueError("restarts > 1 needs a [student] that learns from the restarts kept")
        return self

    @property
    def has_energy_model(self) -> bool:
        """Whether the final network is trained with L_GEN, so that its energies and samples mean something."""
        return not (self.student or self.train).weights.gen.is_zero

    def to_toml(self) -> str:
        """The recipe as TOML, every setting written out, so that the file alone reruns the run."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


def recipe_names() -> list[str]:
    """The names of the recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe by its name, or from a TOML file, and change some of its settings.

    Args:
        name: one of `recipe_names()`, or the path of a .toml file (a run's config.toml is one).
        overrides: settings by dotted name, for example {"seed": 3, "train.weights.prior": 40}.

    Raises:
        UserError: for an unknown recipe or key, or a value that a setting can't take.
    """
    values = _read(name)
    for key, value in (overrides or {}).items():
        _set(values, key, value)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UserError(_sentence(error, f"The recipe {name!r}")) from error


def recipe_for(method: str, examples: int) -> str:
    """The recipe that trains a method on so many examples.

    Raises:
        UserError: if there is no such method, or the paper gives it no recipe for this number of examples.
    """
    if method == "gedi+nesy":
        return "gedi-nesy"
    if method not in METHODS:
        raise UserError(
            f"There is no method {method!r}{_nearest(method, list(METHODS))}; choose from {', '.join(METHODS)}."
        )
    name = f"{method}-addition-{examples}"
    if name not in recipe_names():
        raise UserError(
            f"The paper trains {method!r} on 100, 1000 or 10000 examples, not on {examples}; choose one of these, or "
            f"take its settings with --recipe {method}-addition-1000 --examples {examples}."
        )
    return name


def parse_setting(text: str) -> tuple[str, Any]:
    """`key=value` as on the command line; the value is read as TOML where it is TOML, otherwise as a string.

    Raises:
        UserError: if there is no `=`.
    """
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UserError(f"--set {text!r} is not key=value; write for example --set train.learning_rate=0.001.")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def _read(name: str) -> dict[str, Any]:
    """A recipe's values; where it names a `base`, on top of that recipe's."""
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        hint = _nearest(name, recipe_names())
        raise UserError(f"There is no recipe {name!r}{hint}; `gedi-nesy recipes` lists them.")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"The recipe {path} is not valid TOML: {error}.") from error
    return _merge(_read(values.pop("base")), values) if "base" in values else values


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    nested = {key: _merge(base[key], value) for key, value in changes.items() if isinstance(base.get(key), dict)}
    return base | changes | nested


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *groups, last = key.split(".")
    for group in groups:
        values = values.setdefault(group, {})
        if not isinstance(values, dict):
            raise UserError(f"There is no setting {key!r}: {group!r} is a value, not a group of settings.")
    values[last] = value


def _setting_names(model: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
        nested = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        names += _setting_names(nested[0], f"{prefix}{name}.") if nested else [prefix + name]
    return names


def _sentence(error: ValidationError, where: str) -> str:
    """The first of pydantic's complaints as one sentence."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{where} has no setting {key!r}{_nearest(key, _setting_names(Recipe))}."
    if first["type"] == "missing":
        return f"{where} lacks the setting {key!r}."
    reason = first["msg"].removeprefix("Value error, ")
    return f"{where}: {key + ' = ' + repr(first['input']) + ': ' if key else ''}{reason[0].lower() + reason[1:]}."


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
