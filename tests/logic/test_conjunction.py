"""Conjunctions of many diagrams: the same node as one after the other, and small enough where that is not."""

import itertools
import random
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gedi_nesy.logic.conjunction import conjoin_all
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.diagram import FALSE, TRUE, Diagram
from gedi_nesy.logic.ground_graph import flattened
from gedi_nesy.logic.grounder import ground
from gedi_nesy.logic.program import Program, Source
from gedi_nesy.logic.query import Query

SIZES = (2, 3, 2, 4)
PUZZLE = [
    "...26.7.1",
    "68..7..9.",
    "19...45..",
    "82.1...4.",
    "..46.29..",
    ".5...3.28",
    "..93...74",
    ".4..5..36",
    "7.3.18...",
]


def random_relation(diagram: Diagram, draw: random.Random) -> int:
    """Some rows over two of the variables."""
    first, second = sorted(draw.sample(range(len(SIZES)), 2))
    rows = itertools.product(range(SIZES[first]), range(SIZES[second]))
    pairs = [diagram.conjoin(diagram.literal(first, a), diagram.literal(second, b)) for a, b in rows]
    return reduce(diagram.disjoin, draw.sample(pairs, draw.randint(1, len(pairs))), FALSE)


def holds(diagram: Diagram, node: int, values: tuple[int, ...]) -> bool:
    while node > TRUE:
        node = diagram.children[node][values[diagram.level[node]]]
    return node == TRUE


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 10**9))
def test_a_conjunction_is_that_of_its_conjuncts_one_after_the_other(seed: int) -> None:
    draw, diagram = random.Random(seed), Diagram(SIZES, 10_000)
    parts = [random_relation(diagram, draw) for _ in range(draw.randint(3, 7))]
    whole = conjoin_all(diagram, parts)
    assert whole == reduce(diagram.conjoin, parts)  # equal functions are equal numbers
    rows = [values for values in itertools.product(*map(range, SIZES)) if holds(diagram, whole, values)]
    assert diagram.supported(whole) == [frozenset(row[level] for row in rows) for level in range(len(SIZES))]


def sudoku(puzzle: list[str]) -> tuple[str, str]:
    """A program, and its query over the cells left open: an image each."""
    cells = {(r, c): f"C{r}{c}" for r in range(9) for c in range(9) if puzzle[r][c] == "."}
    rows = [[(r, c) for c in range(9)] for r in range(9)]
    blocks = [[(3 * a + i, 3 * b + j) for i in range(3) for j in range(3)] for a in range(3) for b in range(3)]
    goals = []
    for group in [*rows, *(list(column) for column in zip(*rows, strict=True)), *blocks]:
        missing = sorted(set("123456789") - {puzzle[r][c] for r, c in group})
        goals.append(f"pick([{','.join(cells[cell] for cell in group if cell in cells)}],[{','.join(missing)}])")
    head = f"solved({','.join(cells.values())})"
    digits = "nn(digits, [X], Y, [1,2,3,4,5,6,7,8,9]) :: digit(X,Y). "
    pick = "pick([],_). pick([X|Xs],Ds) :- select(A,Ds,Rest), digit(X,A), pick(Xs,Rest). "
    return f"{digits}{pick}{head} :- {', '.join(goals)}.", head


def test_a_sudoku_of_nine_by_nine_has_one_solution() -> None:
    text, head = sudoku(PUZZLE)
    rule = Constraint(text, query=head)
    assert len(rule.variables) == 45
    assert rule.count() == 1
    assert rule.size == 45
    grid = [list(row) for row in PUZZLE]
    for (key,), value in ((key.split(), int(drawn[0]) + 1) for key, drawn in rule.sample(1).items()):
        grid[int(key[1])][int(key[2])] = str(value)
    assert all(sorted(row) == sorted("123456789") for row in [*grid, *map(list, zip(*grid, strict=True))])


@pytest.mark.parametrize(
    ("text", "conjuncts"),
    [
        ("0.1::a. 0.2::b. 0.3::c. 0.4::d. q :- a, b, c, d.", 4),
        ("0.1::a. 0.2::b. 0.3::c. 0.4::d. r :- b, c, d. q :- a, r. q :- \\+a, r.", None),  # r is shared
    ],
)
def test_nested_conjunctions_are_merged_where_nothing_else_needs_them(text: str, conjuncts: int | None) -> None:
    program = Program(Source(text, "the program", Path()))
    grounded = ground(program, Query(program, "q", ()), 10)
    flat = flattened(grounded)
    kind, children = flat.nodes[flat.root - 1]
    if conjuncts:
        assert kind == "and"
        assert len(children) == conjuncts
    else:
        assert kind == "or"
        assert all(len(flat.nodes[child - 1][1]) == 2 for child in children)
