"""The stretches of training that a recipe asks for, in order, those of later rounds included."""

from dataclasses import dataclass

import numpy as np

from gedi_nesy.nesy.recipe import Recipe, Stage

STUDENT = 0  # the student's round: it comes after however many there are


@dataclass(frozen=True)
class Phase:
    """A stretch of training, with an optimiser and a random stream of its own.

    Attributes:
        number: its place among all phases, those that may turn out not to be needed included.
        name: what the metrics call it.
        stage: its settings.
        seed: of its randomness.
        round: which round of the first stage it belongs to, from 1; or STUDENT.
        fresh: whether its networks are new, not those of the phase before.
    """

    number: int
    name: str
    stage: Stage
    seed: int
    round: int
    fresh: bool


def list_phases(recipe: Recipe) -> list[Phase]:
    """All phases: the cycles of the first stage, as often as there may be rounds, then the student."""
    first_seed = recipe.seed * (recipe.cycles + (recipe.student is not None))
    phases: list[Phase] = []
    for round_ in range(1, recipe.rounds + 1):
        for cycle in range(recipe.cycles):
            seed = first_seed + cycle if round_ == 1 else _later_seed(recipe.seed, round_, cycle)
            phases.append(Phase(len(phases), _name(recipe, round_, cycle), recipe.train, seed, round_, cycle == 0))
    if recipe.student:
        seed = first_seed + recipe.cycles  # however many rounds there may be
        phases.append(Phase(len(phases), "student", recipe.student, seed, STUDENT, True))
    return phases


def _name(recipe: Recipe, round_: int, cycle: int) -> str:
    name = "train" if recipe.cycles == 1 else f"train {cycle + 1}"
    return name if round_ == 1 else f"round {round_} {name}"


def _later_seed(seed: int, round_: int, cycle: int) -> int:
    """A seed above those of first rounds, and within the 32 bits that torch's CPU generator keeps of it."""
    return int(np.random.SeedSequence([seed, round_, cycle]).generate_state(1)[0]) | 2**31
