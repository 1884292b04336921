"""The JSON that a run writes about itself, checked when it is read again: the file may come from anybody."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from gedi_nesy.runs.track import Track


class _Record(BaseModel):
    """Values of the types that we write; other values beside them are shown, but nobody computes with them."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Logged(_Record):
    """A row of metrics.jsonl that `callbacks.Logger` wrote."""

    stage: str
    step: int
    loss: dict[str, float]
    optimum: dict[str, float]
    weight: dict[str, float]
    each: dict[str, list[float]] = {}

    @model_validator(mode="after")
    def _every_term_has_a_weight(self) -> "_Logged":
        if missing := sorted(self.loss.keys() - self.weight.keys()):
            raise ValueError(f"no weight of {missing[0]}")
        return self


class _Returned(_Record):
    """A row of metrics.jsonl that says how training went back after a divergence."""

    number: int = Field(alias="return")
    stage: str
    step: int


class _Certificate(_Record):
    certified: bool
    failures: list[str]
    D: float
    restart_agreement: float | None = None
    matching_margin: float | None = None


class _Summary(_Record):
    """summary.json, and what `vision evaluate` adds to it in a comparison."""

    seconds: Annotated[float, Field(ge=0)]
    evaluation_seconds: Annotated[float, Field(ge=0)] = 0
    steps: int = 0
    dataset: str = ""
    track: Track = "rule"
    accuracy: float | None = None
    nmi: float | None = None
    ami: float | None = None
    cluster_accuracy: float | None = None
    constraint_satisfaction: float | None = None
    train_constraint_satisfaction: float | None = None
    answer_accuracy: float | None = None
    train_answer_accuracy: float | None = None
    test_constraint_log_likelihood: float | None = None
    log_likelihood: float | None = None
    kde_log_likelihood: float | None = None
    nmi_batch64: float | None = None
    nmi_batch64_chance: float | None = None
    linear_probe: float | None = None
    knn: float | None = None
    certificate: _Certificate | None = None
    probabilities: dict[str, float] = {}
    samples: dict[str, float] = {}
    auroc: dict[str, dict[str, float]] = {}
    how: dict[str, Any] = {}


class _Trained(_Record):
    """The `Training.state_dict()` of a checkpoint."""

    step: Annotated[int, Field(ge=0)]


class _Checkpoint(_Record):
    """What the checkpoints of both tracks have in common."""

    phase: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    training: _Trained


_ROW: TypeAdapter[_Logged | _Returned] = TypeAdapter(_Logged | _Returned)


def check_row(row: Any) -> None:
    """ValueError where a row of metrics.jsonl is not one that we write."""
    _check(_ROW, row)


def check_summary(summary: Any) -> None:
    """ValueError where summary.json, or an evaluation-*.json, has a value of another type than we write."""
    _check(TypeAdapter(_Summary), summary)


def check_checkpoint(state: Any) -> None:
    """ValueError where a checkpoint does not say where in the training it was taken."""
    _check(TypeAdapter(_Checkpoint), state)


def _check(kind: TypeAdapter[Any], value: Any) -> None:
    try:
        kind.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if not str(part).startswith("_"))
        raise ValueError(f"{place or 'it'}: {first['msg'][0].lower()}{first['msg'][1:]}") from error
