"""Settings as data, for the recipes of both tracks: read from TOML, checked, changed by name, written back complete."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from gedi_nesy.core.schedule import Schedule
from gedi_nesy.errors import UserError, did_you_mean
from gedi_nesy.files import read_regular


def _write_schedule(schedule: Schedule) -> float | list[list[float]]:
    constant = len({value for _, value in schedule.points}) == 1
    return schedule.points[0][1] if constant else [list(point) for point in schedule.points]


def _refuse_negative(schedule: Schedule) -> Schedule:
    if any(value < 0 for _, value in schedule.points):
        raise ValueError("weights and learning rates are 0 or more")
    return schedule


ScheduleSetting = Annotated[
    Schedule, BeforeValidator(Schedule.of), AfterValidator(_refuse_negative), PlainSerializer(_write_schedule)
]
Threads = Annotated[int, Field(ge=1, le=1024)]  # beyond it the system may refuse threads, which ends the process
LARGEST = 2**31 - 1  # integer: no setting needs more, and tensors of such sizes are impossible


class Settings(BaseModel):
    """A group of settings: plain, finite values, no unknown key, none missing."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, strict=True, allow_inf_nan=False
    )

    retired: ClassVar[Mapping[str, Any]] = {}  # settings that older runs wrote, and the value that changes nothing

    @model_validator(mode="before")
    @classmethod
    def _drop_retired(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for key, neutral in cls.retired.items():
            if key in values and values[key] != neutral:
                raise ValueError(f"{key} is no longer a setting; only {neutral!r}, as most older runs have it, is read")
        return {key: value for key, value in values.items() if key not in cls.retired}

    @model_validator(mode="before")
    @classmethod
    def _refuse_huge_integers(cls, values: Any) -> Any:
        for key, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, int) and abs(value) > LARGEST:
                raise ValueError(f"{key} is larger than {LARGEST:,}")
        return values

    def to_toml(self) -> str:
        """The settings as TOML, every one written out, so that the file alone repeats what they describe."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


AnySettings = TypeVar("AnySettings", bound=Settings)


def load_settings(
    kind: type[AnySettings], name: str, folder: Path, overrides: Mapping[str, Any], listed_by: str
) -> AnySettings:
    """Read settings by the name of a file in a folder, or from a TOML file, and change some of them.

    Args:
        kind: what is read.
        name: of a .toml file in `folder`, without its ending, or the path of a .toml file. Several of the folder's,
            with commas between, are laid on top of each other in their order.
        folder: of the recipes that come with the package.
        overrides: values by dotted name, for example {"seed": 3, "train.weights.prior": 40}.
        listed_by: the command that lists the names, for the error message.

    Raises:
        UserError: for an unknown name or key, or a value that a setting can't take.
    """
    values: dict[str, Any] = {}
    for layer in [name] if name.endswith(".toml") else name.split(","):
        values = _merge(values, _read(layer, folder, listed_by))
    for key, value in overrides.items():
        _set(values, key, value)
    try:
        return kind.model_validate(_lists_as_tuples(values))
    except ValidationError as error:
        raise UserError(_sentence(error, f"The recipe {name!r}", kind)) from error


def names_in(folder: Path) -> list[str]:
    """The names of the recipes in a folder."""
    return sorted(path.stem for path in folder.glob("*.toml"))


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
    except (ValueError, RecursionError):
        return key, value


def _read(name: str, folder: Path, listed_by: str, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A recipe's values; where it names a `base`, or several, on top of theirs in their order.

    Args:
        name: of the recipe.
        folder: of the recipes that come with the package.
        listed_by: the command that lists them.
        above: the recipes that have this one as a base.
    """
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if path.resolve() in above:
        raise UserError(f"The recipe {path} is a base of its own; take its name out of `base`.")
    if not path.is_file():
        hint = did_you_mean(name, names_in(folder))
        raise UserError(f"There is no recipe {name!r}{hint}; `{listed_by}` lists them.")
    try:
        values = tomllib.loads(read_regular(path).decode())
    except OSError as error:
        raise UserError(f"The recipe {path} can't be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"The recipe {path} is not valid TOML: {error}.") from error
    bases = values.pop("base", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise UserError(f"The recipe {path} has base = {bases!r}; give a recipe's name, or a list of names.")
    below: dict[str, Any] = {}
    for base in bases:
        below = _merge(below, _read(base, folder, listed_by, (*above, path.resolve())))
    return _merge(below, values)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    both = [key for key, value in changes.items() if isinstance(value, dict) and isinstance(base.get(key), dict)]
    return base | changes | {key: _merge(base[key], changes[key]) for key in both}


def _lists_as_tuples(value: Any) -> Any:
    """Settings never change, so their lists, which TOML and Python's users write, are tuples."""
    if isinstance(value, dict):
        return {key: _lists_as_tuples(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(_lists_as_tuples, value))
    return value.item() if isinstance(value, np.generic) else value  # NumPy's numbers are numbers too


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


def _sentence(error: ValidationError, where: str, kind: type[BaseModel]) -> str:
    """The first of pydantic's complaints as one sentence."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{where} has no setting {key!r}{did_you_mean(key, _setting_names(kind))}."
    if first["type"] == "missing":
        return f"{where} lacks the setting {key!r}."
    reason = first["msg"].removeprefix("Value error, ")
    names_itself = first["type"] == "value_error" and isinstance(first["input"], dict)  # what is wrong with a group
    value = "" if names_itself else f"{key} = {first['input']!r}: "
    return f"{where}: {value}{reason[0].lower() + reason[1:]}."
