"""The terms of the objectives, each once, with its meaning, its unit, its optimum and its needs.

Both tracks compute a term that compares two views from this table alone, their recipes have a weight for each term,
and the report draws it. A new loss of this kind touches its own file in `core.losses`, this table, and a recipe; its
name stands in `methods.FAMILY`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional

from gedi_nesy.core.losses import (
    barlow_loss,
    corinfomax_loss,
    ebclr_loss,
    info_nce_loss,
    mec_loss,
    protocpc_loss,
    swav_loss,
    vicreg_loss,
    wmse_loss,
)

Need = Literal["gen", "rule", "no rule", "teacher", "prototypes", "embeddings", "unit length", "whitening"]


@dataclass(frozen=True)
class Term:
    """A term of an objective. One with a `loss` is L_DISC of Section 2's family, -log p(x) <= L_GEN + L_DISC.

    Attributes:
        meaning: the term in a few words.
        optimum: its least value in the term's unit, where it is known: a constant, or a function of the embeddings'
            dimensions.
        unit: of its values; "" for a plain number.
        needs: what a stage must have beside it: "gen", the term L_GEN; a "rule", or "no rule"; a "teacher";
            "prototypes", a layer of cosines, of which the most probable one is an image's cluster; "embeddings", a
            projector's outputs, whose clusters come from k-means; "unit length", embeddings scaled so; "whitening", a
            batch of more images than embeddings have dimensions.
        guides: whether a stage can be trained by it alone.
        loss: of a term that compares two views, its function. With "prototypes" it takes the cosines of both views,
            [..., batch, prototypes], and the temperature; with "embeddings" the embeddings, [..., batch, dim].
    """

    meaning: str
    optimum: float | Callable[[int], float] | None = None
    unit: str = "nats"
    needs: tuple[Need, ...] = ()
    guides: bool = True
    loss: Callable[..., Tensor] | None = None

    def of_cosines(self, cosines: Tensor, view_cosines: Tensor, temperature: float) -> Tensor:
        """The loss of two views' cosines with prototypes, [..., batch, prototypes] -> [...]."""
        assert self.loss is not None
        return self.loss(cosines, view_cosines, temperature)

    def of_embeddings(self, embeddings: Tensor, view_embeddings: Tensor) -> Tensor:
        """The loss of two views' embeddings, [..., batch, dim] -> [...], at unit length where the term needs that."""
        assert self.loss is not None
        if "unit length" in self.needs:
            embeddings, view_embeddings = (functional.normalize(x, dim=-1) for x in (embeddings, view_embeddings))
        return self.loss(embeddings, view_embeddings)


def _even_spread(dim: int) -> float:
    """CorInfoMax's optimum, where the covariance of both views' embeddings is I / dim."""
    return 2 * math.log(dim)


def _even_code(dim: int) -> float:
    """MEC's optimum at distortion 1, where equal views fill all dimensions alike."""
    return -dim * sum((-1) ** (k + 1) / (k * dim**k) for k in range(1, 5))


TERMS: Mapping[str, Term] = {
    "gen": Term("energy of data minus energy of samples"),
    "distorted": Term("energy of data minus distorted images", needs=("gen", "rule"), guides=False),
    "nesy": Term("−log P(rule | images)", 0.0, needs=("rule",)),
    "prior": Term("average prediction against the prior"),  # its optimum depends on its form
    "inv": Term("cross-entropy of two views", 0.0),
    "certain": Term("cross-entropy to the label of a certain prediction", 0.0, needs=("no rule",), guides=False),
    "labels": Term("cross-entropy to the labels given", 0.0, needs=("rule",), guides=False),
    "teacher": Term("cross-entropy to the teacher’s posteriors", needs=("teacher",)),  # optimum: their entropy
    "energy_l2": Term("mean squared energies", 0.0, "nats²", needs=("gen",), guides=False),
    "infonce": Term("−log P(other view | all other images)", needs=("embeddings",), loss=info_nce_loss),
    "ebclr": Term("InfoNCE on squared distances", needs=("embeddings", "unit length"), loss=ebclr_loss),
    "protocpc": Term("prototypes contrasted with the batch’s", 0.0, needs=("prototypes",), loss=protocpc_loss),
    "corinfomax": Term(
        "distance of views minus log-volume", _even_spread, "", needs=("embeddings",), loss=corinfomax_loss
    ),
    "vicreg": Term("distance, variance and covariance of views", 0.0, "", needs=("embeddings",), loss=vicreg_loss),
    "wmse": Term("distance of whitened views", 0.0, "", needs=("embeddings", "whitening"), loss=wmse_loss),
    "barlow": Term("cross-correlation against the identity", 0.0, "", needs=("embeddings",), loss=barlow_loss),
    "mec": Term("minus the code length of both views", _even_code, "", needs=("embeddings",), loss=mec_loss),
    "swav": Term("cross-entropy to the other view’s balanced code", needs=("prototypes",), loss=swav_loss),
}


def terms_with(rule: bool) -> dict[str, Term]:
    """The terms of the track with a rule, or without."""
    return {name: term for name, term in TERMS.items() if ("no rule" if rule else "rule") not in term.needs}


def needing(need: Need) -> list[str]:
    """The names of the terms that need something."""
    return [name for name, term in TERMS.items() if need in term.needs]


def like(name: str) -> str:
    """swav or barlow, whichever needs the same as a term that compares two views: the paper trains these two."""
    return "swav" if "prototypes" in TERMS[name].needs else "barlow"


def optima(names: Iterable[str], others: Mapping[str, float | None], dim: int) -> dict[str, float]:
    """The known optimum of each of these terms.

    Args:
        names: of the terms of an objective.
        others: optima that depend on a run, in place of the table's.
        dim: dimensions of the embeddings.
    """
    known = {name: others.get(name, TERMS[name].optimum) for name in names}
    return {name: value(dim) if callable(value) else value for name, value in known.items() if value is not None}
