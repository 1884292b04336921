"""The terms of the objectives, each once: what it means, its unit, its optimum and what it needs.

Both tracks compute a term that compares two views from this table alone, their recipes have a weight for each term,
and the report draws it. A new loss of this kind touches its own file in `core.losses`, this table, and a recipe.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from gedi_nesy.core.losses import barlow_loss, swav_loss

Need = Literal["gen", "rule", "teacher", "prototypes", "embeddings"]


@dataclass(frozen=True)
class Term:
    """A term of an objective.

    Attributes:
        meaning: what it is, in a few words.
        optimum: its least value where it is a constant that is known, in the term's unit.
        unit: of its values; "" for a plain number.
        needs: what a stage must have beside it: "gen", the term L_GEN; a "rule"; a "teacher"; "prototypes", a layer of
            cosines; "embeddings", a projector's outputs.
        guides: whether a stage can be trained by it alone.
        loss: of a term that compares two views, its function. With "prototypes" it takes the cosines of both views,
            [..., batch, prototypes], and the temperature; with "embeddings" the embeddings, [..., batch, dim].
    """

    meaning: str
    optimum: float | None = None
    unit: str = "nats"
    needs: tuple[Need, ...] = ()
    guides: bool = True
    loss: Callable[..., Tensor] | None = None


TERMS: Mapping[str, Term] = {
    "gen": Term("energy of data minus energy of samples"),
    "distorted": Term("energy of data minus distorted images", needs=("gen", "rule"), guides=False),
    "nesy": Term("−log P(rule | images)", 0.0, needs=("rule",)),
    "prior": Term("average prediction against the prior"),  # its optimum depends on its form
    "inv": Term("cross-entropy of two views", 0.0),
    "labels": Term("cross-entropy to the labels given", 0.0, needs=("rule",), guides=False),
    "teacher": Term("cross-entropy to the teacher’s posteriors", needs=("rule", "teacher")),  # optimum: their entropy
    "energy_l2": Term("mean squared energies", 0.0, "nats²", needs=("gen",), guides=False),
    "swav": Term("cross-entropy to the other view’s balanced code", needs=("prototypes",), loss=swav_loss),
    "barlow": Term("cross-correlation against the identity", 0.0, "", needs=("embeddings",), loss=barlow_loss),
}


def terms_with(rule: bool) -> dict[str, Term]:
    """The terms of the track with a rule, or without."""
    return {name: term for name, term in TERMS.items() if rule or "rule" not in term.needs}


def needing(need: Need) -> list[str]:
    """The names of the terms that need something."""
    return [name for name, term in TERMS.items() if need in term.needs]


def optima(names: Iterable[str], others: Mapping[str, float | None]) -> dict[str, float]:
    """The known optimum of each of these terms.

    Args:
        names: of the terms of an objective.
        others: optima that depend on a run, in place of the table's.
    """
    known = {name: others.get(name, TERMS[name].optimum) for name in names}
    return {name: value for name, value in known.items() if value is not None}
