"""The weights of an objective's terms as settings of a recipe, one for each term of `core.terms`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import create_model

from gedi_nesy.core.schedule import Schedule
from gedi_nesy.core.terms import Need, needing, terms_with
from gedi_nesy.runs.settings import ScheduleSetting, Settings


class TermWeights(Settings):
    """The weight of each term of the objective: a number, or [progress, value] points with lines between them."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Schedule: ...  # the fields come from the table of terms

    def used(self, need: Need) -> list[str]:
        """The names of the terms that have this need and a weight that is not always 0."""
        return [name for name, weight in self if name in needing(need) and not weight.is_zero]

    def always(self) -> list[str]:
        """The names of the terms whose weight is never 0."""
        return [name for name, weight in self if all(value > 0 for _, value in weight.points)]


AnyWeights = TypeVar("AnyWeights", bound=TermWeights)


def with_terms(*, rule: bool) -> Callable[[type[AnyWeights]], type[AnyWeights]]:
    """Give a class of weights a field for each term of the track with a rule, or without; by default a term has 0."""

    def fill(weights: type[AnyWeights]) -> type[AnyWeights]:
        fields: dict[str, Any] = {name: (ScheduleSetting, Schedule.of(0.0)) for name in terms_with(rule)}
        return create_model(
            weights.__name__, __base__=weights, __module__=weights.__module__, __doc__=weights.__doc__, **fields
        )

    return fill
