"""The settings that the recipes of both tracks have in common."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from gedi_nesy.runs.logs import LogName
from gedi_nesy.runs.rollback import Guard
from gedi_nesy.runs.settings import ScheduleSetting, Settings, Threads
from gedi_nesy.runs.track import Track

Probability = Annotated[float, Field(ge=0, le=1)]


class Sampler(Settings):
    """SGLD (paper, Appendix O): x += step_size * d log p(x)/dx + noise * N(0, 1), from a replay buffer.

    `reference` is the variance of r(x) around the images' ground (`core.reference`); left out, r is uniform. `warp` is
    the share of chains, of drawings alone, that are warped a little before a step.
    """

    chains: PositiveInt
    steps: PositiveInt
    step_size: PositiveFloat
    noise: NonNegativeFloat
    clamp: bool = False
    buffer: PositiveInt = 10_000
    reinit: Probability = 0.05
    reference: PositiveFloat | None = None
    warp: Probability = 0.0

    @property
    def life(self) -> int:
        """The steps that a chain lives in training, on average, 50 calls at most; samples are drawn with as many."""
        return round(self.steps / max(self.reinit, 0.02))

    @model_validator(mode="after")
    def _chains_fit(self) -> "Sampler":
        if self.chains > self.buffer:
            raise ValueError(f"sampler.chains = {self.chains} needs a sampler.buffer of at least as many")
        return self


class Stage(Settings):
    """One training stage; several processes share its batch and the sampler's chains among them."""

    batch: PositiveInt
    learning_rate: ScheduleSetting
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0


class RunRecipe(Settings):
    """A complete description of a run."""

    track: Track
    recipe: str
    method: str
    about: str
    seed: Annotated[int, Field(ge=0, lt=2**28)] = 0
    device: str = "cpu"
    threads: Threads = 1  # on the CPU: small networks gain nothing from more, and results stay the same
    restarts: PositiveInt = 1
    log_every: PositiveInt = 100
    log: tuple[LogName, ...] = ()  # beside metrics.jsonl
    checkpoint_seconds: NonNegativeFloat = 20.0
    guard: Guard = Guard()
