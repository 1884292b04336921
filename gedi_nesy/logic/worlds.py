"""A program's own distribution over the symbols that satisfy its rule, from which examples are drawn.

Its facts have their probabilities, given the evidence; in each world of facts all assignments of symbols (and
arguments) that satisfy the rule are equally likely. Worlds in which none does are left out.
"""

import warnings
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.logic.compiled import Compiled, projected
from gedi_nesy.logic.diagram import FALSE, TRUE
from gedi_nesy.logic.ground import GroundProgram
from gedi_nesy.logic.solutions import Solutions

WORLDS = 1_000  # that are told apart; of more, so many are drawn

State = tuple[int, int]  # the rule's root and the evidence's, in worlds that agree in some facts


class OwnDistribution:
    """Worlds by their probability, and the rule's solutions in each; worlds with the same solutions are one.

    Args:
        ground: the ground program.
        compiled: its diagrams; nodes are added to them.
        weights: the probability of each value of each fact.

    Raises:
        TooLarge: the diagrams outgrow their budget.
    """

    def __init__(self, ground: GroundProgram, compiled: Compiled, weights: Sequence[Sequence[float]]) -> None:
        worlds = _Worlds(ground, compiled, weights).run()
        without_facts = projected(ground, compiled, [root for root, _ in worlds], lambda v: ground.fact(v) is None)
        every = [Solutions(without_facts, root, len(ground.variables)) for root in without_facts.roots]
        kept = [(own, weight) for own, weight in zip(every, worlds.values(), strict=True) if own.total]
        self.solutions = [own for own, _ in kept]
        total = sum(weight for _, weight in kept)
        self.probabilities = [weight / total for _, weight in kept]

    def marginals(self) -> list[Tensor]:
        """The probability of each value of each neural variable, in the program's order; float64."""
        of_worlds = (solutions.marginals() for solutions in self.solutions)
        weighted = [[p * m for m in own] for p, own in zip(self.probabilities, of_worlds, strict=True)]
        return [sum(parts[1:], parts[0]) for parts in zip(*weighted, strict=True)]

    def sample(self, n: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Draw n assignments.

        Returns:
            The values of the arguments, [arguments, n], and of the neural variables, [variables, n], both in the
            program's order.
        """
        if len(self.solutions) == 1:
            return self.solutions[0].sample(n, generator)
        shares = torch.tensor(self.probabilities, dtype=torch.float64)
        world = torch.multinomial(shares, n, replacement=True, generator=generator)
        first = self.solutions[0]
        values = torch.empty(len(first.order), n, dtype=torch.long)
        arguments = torch.empty(len(first.variables) - len(first.order), n, dtype=torch.long)
        for i in world.unique().tolist():
            here = (world == i).nonzero().squeeze(1)
            arguments[:, here], values[:, here] = self.solutions[i].sample(len(here), generator)
        return arguments, values


class _Worlds:
    """Settles one fact after the other, and merges worlds whose diagrams have become the same."""

    def __init__(self, ground: GroundProgram, compiled: Compiled, weights: Sequence[Sequence[float]]) -> None:
        self.diagram = compiled.nodes
        self.start = (compiled.root, compiled.evidence)
        self.shares = [  # of each level's values; a network may say anything
            [1 / ground.sizes[variable]] * ground.sizes[variable]
            if ground.fact(variable) is None
            else weights[variable - len(ground.variables)]
            for variable in compiled.order
        ]
        self.facts = [level for level, variable in enumerate(compiled.order) if ground.fact(variable) is not None]
        self._mass = {FALSE: 0.0, TRUE: 1.0}

    def run(self) -> dict[State, float]:
        """The weight of each world in which the rule has a solution: its probability, times the evidence's in it."""
        states = {self.start: 1.0}
        for level in self.facts:
            settled: dict[State, float] = defaultdict(float)
            for value, share in enumerate(self.shares[level]):
                restricted: dict[int, int] = {}
                for state, weight in states.items() if share else ():
                    root, evidence = (self._restrict(node, level, value, restricted) for node in state)
                    settled[root, evidence] += weight * share
            states = {state: weight for state, weight in settled.items() if state[0] != FALSE}
            if len(states) > WORLDS:
                states = self._some(states)
        return {state: weight * self._mass_of(state[-1]) for state, weight in states.items()}

    def _restrict(self, node: int, level: int, value: int, known: dict[int, int]) -> int:
        """The node's function where the variable at this level has this value."""
        if self.diagram.level[node] >= level:
            return self.diagram.follow(node, level, value)
        if node not in known:
            children = tuple(self._restrict(child, level, value, known) for child in self.diagram.children[node])
            known[node] = self.diagram.node(self.diagram.level[node], children)
        return known[node]

    def _mass_of(self, node: int) -> float:
        """The probability of a node when networks find all values equally likely."""
        if node not in self._mass:
            children = zip(self.shares[self.diagram.level[node]], self.diagram.children[node], strict=True)
            self._mass[node] = sum(share * self._mass_of(child) for share, child in children)
        return self._mass[node]

    def _some(self, states: dict[State, float]) -> dict[State, float]:
        """A systematic draw of worlds, by their probability given the evidence; it is the same each time."""
        warnings.warn(
            f"the rule's {len(self.facts)} random variables make more than {WORLDS:,} worlds: examples and marginals "
            "are of that many drawn ones",
            stacklevel=2,
        )
        masses = np.array([weight * self._mass_of(state[-1]) for state, weight in states.items()])
        edges = np.cumsum(masses / masses.sum())
        chosen = np.searchsorted(edges, (np.arange(WORLDS) + 0.5) / WORLDS).clip(max=len(edges) - 1)
        counts = np.bincount(chosen, minlength=len(edges))
        return {
            state: float(count / WORLDS / self._mass_of(state[-1]))
            for state, count in zip(states, counts, strict=True)
            if count
        }
