"""From a program and a query to a compiled rule, within a budget."""

import time
from dataclasses import dataclass

from problog.logic import Term

from gedi_nesy.nesy.cache import Rule, cached
from gedi_nesy.nesy.diagram import Compiled, compile_program
from gedi_nesy.nesy.grounding import GroundProgram, Query, answer_terms, ground, ground_given
from gedi_nesy.nesy.program import Program, Value


@dataclass(frozen=True)
class Compiler:
    """What it takes to compile a query, and one answer to it, or it in another order.

    Attributes:
        program: the program.
        query: the goal.
        seconds: budget for grounding and compiling.
        max_nodes: budget for the nodes of a diagram.
        trust: allow the program to import Python and to consult files outside its folder; nothing is cached then.
    """

    program: Program
    query: Query
    seconds: float
    max_nodes: int
    trust: bool

    def rule(self) -> Rule:
        """The query, from the cache where it is there."""
        return self._rule() if self.trust else cached(self.program, self.query, self._rule)

    def _rule(self) -> Rule:
        start = time.monotonic()
        grounded = ground(self.program, self.query, self.seconds, self.trust)
        left = max(1.0, self.seconds - (time.monotonic() - start))
        return grounded, compile_program(grounded, self.max_nodes, left)

    def given(self, answer: tuple[Value, ...]) -> Compiled:
        """The query with these values for its arguments."""
        grounded = ground_given(self.program, self.query, answer, self.seconds, self.trust)
        return compile_program(grounded, self.max_nodes, self.seconds)

    def facts_last(self, grounded: GroundProgram) -> Compiled:
        """The query with the program's own random variables below the neural ones."""
        return compile_program(grounded, self.max_nodes, self.seconds, facts_last=True)

    def answer_terms(self) -> dict[tuple[Value, ...], tuple[Term, ...]]:
        """For each answer, the values of the arguments, the same as terms in ProbLog."""
        return answer_terms(self.program, self.query, self.seconds, self.trust)
