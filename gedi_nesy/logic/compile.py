"""From a program and a query to decision diagrams, within a budget."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from problog.logic import Term

from gedi_nesy.errors import UserError
from gedi_nesy.logic.cache import Rule, cached
from gedi_nesy.logic.compiled import Compiled, compacted
from gedi_nesy.logic.conjunction import conjoin_all, disjoin_all
from gedi_nesy.logic.diagram import FALSE, TRUE, Diagram, TooLarge
from gedi_nesy.logic.ground import GroundProgram, Value
from gedi_nesy.logic.ground_graph import check_negation, components, flattened, variable_orders
from gedi_nesy.logic.grounder import argument_terms, ground, ground_given
from gedi_nesy.logic.program import Program
from gedi_nesy.logic.query import Query
from gedi_nesy.logic.time_limit import TimeIsUp, in_budget, time_limit

FIRST_LIMIT = 2_000  # nodes that each variable order may make in the first round of a race between them
GROWTH = 4  # of that limit from round to round
WITHOUT_DIAGRAM = (
    "`gedi-nesy check --nodes 1000 --draws 1000`, and gedi_nesy.GroundRule, bound its probability and sample its "
    "solutions without a whole diagram"
)

T = TypeVar("T")
Tiers = Callable[[int], int]


class NoDiagram(UserError):
    """No diagram of the rule was found within the budget."""


@dataclass(frozen=True)
class Compiler:
    """A program, a query and budgets; compiles the query, one answer of it, or it with facts ordered last.

    Each compilation runs in a child process.

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
        """The ground query and its diagrams, from the cache if they are there."""
        return self._rule() if self.trust else cached(self.program, self.query, self._rule)

    def _rule(self) -> Rule:
        return self._limited(self._grounded_and_compiled)

    def _grounded_and_compiled(self) -> Rule:
        start = time.process_time()
        grounded = ground(self.program, self.query, self.seconds, self.trust)
        left = max(1.0, self.seconds - (time.process_time() - start))
        return grounded, compile_program(grounded, self.max_nodes, left)

    def has_answer(self, answer: tuple[Value, ...]) -> bool:
        """Whether the query is possible with these values for its arguments."""

        def work() -> bool:
            grounded = ground_given(self.program, self.query, answer, self.seconds, self.trust)
            return compile_program(grounded, self.max_nodes, self.seconds).root != FALSE

        return self._limited(work)

    def ordered(self, grounded: GroundProgram, tiers: Tiers) -> Compiled:
        """The query with its variables in tiers, one below the other."""
        return self._limited(lambda: compile_program(grounded, self.max_nodes, self.seconds, tiers))

    def argument_terms(self) -> list[dict[Value, Term]]:
        """For each argument (a list element by element) its values, the same as ProbLog's terms."""
        return self._limited(lambda: argument_terms(self.program, self.query, self.seconds, self.trust))

    def _limited(self, work: Callable[[], T]) -> T:
        mend = "let the rule make no numbers of millions of digits and no lists of millions of elements, and take one "
        return self.limited(work, "", f"{mend}step at a time")

    def limited(self, work: Callable[[], T], what: str, mend: str) -> T:
        """What `work` returns, from a child process within the budget of seconds; see `time_limit.in_budget`."""
        return in_budget(work, self.seconds, f"{self.program.source.name}: {self.query.goal}{what}", mend)


def compile_program(
    grounded: GroundProgram, max_nodes: int, seconds: float, tiers: Tiers = lambda variable: 0
) -> Compiled:
    """Compile a ground program, in the best of a few variable orders.

    The orders race: each may make so many nodes, then more, until one is done.

    Args:
        grounded: the program.
        max_nodes: the budget for the nodes made on the way.
        seconds: the budget of time.
        tiers: for the number of each variable the tier that it belongs to, 0 the highest; by default all are in one.

    Raises:
        NoDiagram: every order outgrows the budget.
    """
    found: list[Compiled] = []
    orders, limit, in_time = variable_orders(grounded, tiers), min(FIRST_LIMIT, max_nodes), True
    try:
        with time_limit(seconds):
            flat = flattened(grounded)
            parts = components(flat)
            while not found:
                for order in orders:
                    with suppress(TooLarge):
                        found.append(_Compilation(flat, order, limit).run(parts))
                if limit == max_nodes:
                    break
                limit = min(GROWTH * limit, max_nodes)
    except TimeIsUp:
        in_time = False  # the diagrams that are done will do
    except RecursionError:
        raise NoDiagram(
            f"the rule's {len(grounded.sizes):,} variables make its decision diagram too deep; {WITHOUT_DIAGRAM}"
        ) from None
    if not found:
        raise NoDiagram(_too_large(grounded, len(orders), limit, None if in_time else seconds))
    return compacted(min(found, key=lambda compiled: compiled.size), max_nodes)


def _too_large(grounded: GroundProgram, orders: int, limit: int, seconds: float | None) -> str:
    """Why no diagram was found: it outgrew the limit of nodes, or the time was up on the way there."""
    reached = f"outgrew {limit:,} nodes" if seconds is None else f"was not done in {seconds:.3g} s at {limit:,} nodes"
    variables = len(grounded.sizes)
    return (
        f"the rule's decision diagram over {variables} variables {reached}, in {orders} variable orders: it is the "
        "wrong form for a rule with many solutions that ties most variables to most others, such as a 9 by 9 sudoku "
        "with few givens, and ProbLog's own forms, SDD and d-DNNF, take longer still; split the rule into queries of "
        f"their own, write what is known into the query as constants, or raise the budget; {WITHOUT_DIAGRAM}"
    )


class _Compilation:
    """Compiles a ground program in one variable order: builds the diagram of one node after the other."""

    def __init__(self, grounded: GroundProgram, order: tuple[int, ...], max_nodes: int) -> None:
        self.grounded, self.order = grounded, order
        self.level_of = {variable: level for level, variable in enumerate(order)}
        self.diagram = Diagram([grounded.sizes[variable] for variable in order], max_nodes)
        self.values: dict[int, int] = {}  # each node's diagram

    def run(self, parts: list[list[int]]) -> Compiled:
        """Compile these components of the formula, those below first."""
        for component in parts:
            self._compile(component)
        self._check_open_tests()
        evidence = conjoin_all(self.diagram, map(self._value_of, self.grounded.evidence))
        if evidence == FALSE:
            raise UserError("the program's evidence is impossible")
        root = self.diagram.conjoin(self._value_of(self.grounded.root), evidence)
        return Compiled(self.diagram, self.order, root, evidence)

    def _compile(self, component: list[int]) -> None:
        """One node, or the nodes of a cycle up to their least fixed point."""
        check_negation(self.grounded, component)
        self.values.update(dict.fromkeys(component, FALSE))
        changed = True
        while changed:
            new = {node: self._evaluate(node) for node in component}
            changed = len(component) > 1 and any(self.values[node] != new[node] for node in component)
            self.values.update(new)

    def _evaluate(self, node: int) -> int:
        kind, *rest = self.grounded.nodes[node - 1]
        if kind == "literal":
            return FALSE if self.grounded.never(*rest) else self.diagram.literal(self.level_of[rest[0]], rest[1])
        operands = {self._value_of(child) for child in rest[0]}
        return conjoin_all(self.diagram, operands) if kind == "and" else disjoin_all(self.diagram, operands)

    def _value_of(self, child: int | None) -> int:
        if not child:
            return FALSE if child is None else TRUE
        return self.values[child] if child > 0 else self.diagram.negate(self.values[-child])

    def _check_open_tests(self) -> None:
        if any(self._value_of(open_) != self._value_of(given) for open_, given in self.grounded.given):
            raise UserError(
                "the rule's answers depend on whether its arguments are known yet, by "
                f"{', '.join(self.grounded.open_tests)}: let it find their values first, as by between(0,9,N), or ask "
                "for one value as a query of its own"
            )
