"""The ground program: a propositional formula over categorical variables. Nothing here knows ProbLog."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Value = Any  # a ground Prolog term in Python: int, float, str, or a tuple of values for a list
Key = Any  # an image's name, or (network, name), or (network, *inputs)


@dataclass(frozen=True)
class Variable:
    """One neural call of the rule: a categorical variable that the images decide.

    Attributes:
        key: the image's name; (network, name) where one image meets two networks; (network, *inputs) where a call
            has several inputs, or a symbol as its input.
        network: name of the network, as in `nn(network, ...)`.
        inputs: the call's inputs; images by their name in the query, symbols by their value.
        domain: the values, in the order of the network's outputs; (False, True) for `nn(net,[X]) :: p(X)`.
    """

    key: Key
    network: str
    inputs: tuple[Value, ...]
    domain: tuple[Value, ...]


@dataclass(frozen=True)
class Fact:
    """A probabilistic fact or annotated disjunction of the ground program: a random variable of the rule itself.

    Attributes:
        weights: for each value a probability (float), or the index of a learnable parameter (int).
        exhaustive: the values are all there is; otherwise one more value, "none of them", has the rest.
    """

    weights: tuple[float | int, ...]
    exhaustive: bool

    @property
    def size(self) -> int:
        """Number of values, "none of them" included."""
        return len(self.weights) + (not self.exhaustive)

    def start_weights(self, starts: Sequence[float]) -> list[float]:
        """The probability of each value, with the start values of the learnable parameters."""
        weights = [starts[weight] if isinstance(weight, int) else weight for weight in self.weights]
        return weights if self.exhaustive else [*weights, max(0.0, 1 - sum(weights))]


@dataclass(frozen=True)
class Argument:
    """An argument of the query, or one element of it: a categorical variable whose value each example gives.

    Attributes:
        name: of the argument.
        place: of the element, where the argument is a list of a length that is known.
        domain: the values that the rule asks for; all others are one value more.
    """

    name: str
    place: int | None
    domain: tuple[Value, ...]

    @property
    def size(self) -> int:
        """Number of values, "any other" included."""
        return len(self.domain) + 1


@dataclass(frozen=True)
class GroundProgram:
    """A propositional formula over categorical variables: first the neural ones, then the facts, then the arguments.

    `nodes[i]` is node i + 1: ("literal", variable, value), ("and", children) or ("or", children). A child is a
    node's number, negated where the node is, 0 for true, None for false; so is `root`, the query. Positive cycles are
    possible. `consulted` are the files that the program loaded, ProbLog's own left out. `open_tests` are the predicates
    whose outcome may depend on the arguments that were left open while grounding; then `given` has the nodes of some
    answers, grounded open and given.
    """

    variables: tuple[Variable, ...]
    facts: tuple[Fact, ...]
    arguments: tuple[Argument, ...]
    nodes: tuple[tuple[Any, ...], ...]
    root: int | None
    evidence: tuple[int | None, ...]
    consulted: tuple[str, ...]
    open_tests: tuple[str, ...] = ()
    given: tuple[tuple[int | None, int | None], ...] = ()

    @cached_property
    def sizes(self) -> list[int]:
        """Number of values of each variable."""
        neural = [len(variable.domain) for variable in self.variables]
        return [*neural, *(fact.size for fact in self.facts), *(argument.size for argument in self.arguments)]

    def fact(self, variable: int) -> Fact | None:
        """The fact that is the variable with this number, if one is."""
        number = variable - len(self.variables)
        return self.facts[number] if 0 <= number < len(self.facts) else None

    def is_argument(self, variable: int) -> bool:
        """Whether the variable with this number is an argument of the query."""
        return variable >= len(self.variables) + len(self.facts)

    def possible(self, variable: int) -> int:
        """How many values, the first ones, the variable may take: an argument only those that the rule asks for."""
        return self.sizes[variable] - self.is_argument(variable)

    def never(self, variable: int, value: int) -> bool:
        """Whether a fact's value has probability 0."""
        fact = self.fact(variable)
        weights = fact.weights if fact else ()
        return value < len(weights) and isinstance(weights[value], float) and weights[value] == 0
