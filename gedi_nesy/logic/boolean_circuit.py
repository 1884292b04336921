"""Circuits of others, over Boolean variables: read from files and evaluated as the rules' own are.

| file | what | read by |
| --- | --- | --- |
| .cnf | a formula in DIMACS form; it is compiled | `read_cnf` |
| .sdd | a sentential decision diagram, as PySDD and KLay write it | `read_sdd` |
| .nnf | a deterministic, decomposable circuit, as c2d and we write it (`nnf_file`) | `read_nnf` |
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.files import read_regular
from gedi_nesy.logic.circuit import Circuit
from gedi_nesy.logic.compile import compile_program
from gedi_nesy.logic.ground import GroundProgram, Variable
from gedi_nesy.logic.layout import FIRST, ONE, ZERO, Block, Layout, Product, padded_block, plan_layers
from gedi_nesy.logic.time_limit import in_budget

SECONDS, MAX_NODES = 30.0, 2_000_000  # budget for compiling a formula


class BooleanCircuit:
    """A deterministic, decomposable circuit over Boolean variables 1 to n.

    Its probability is right where a variable's two literals sum to 1: what a circuit leaves out is not made up for.

    Args:
        variables: n.
        layout: over the literals 1, -1, 2, -2, ..., n, -n.
    """

    def __init__(self, variables: int, layout: Layout) -> None:
        self.variables, self.layout = variables, layout
        self._circuits: dict[torch.device, Circuit] = {}

    @property
    def size(self) -> int:
        """Number of sums."""
        return sum(len(block.paths) for block in self.layout.blocks)

    def log_prob(self, positive: Tensor, negative: Tensor | None = None) -> Tensor:
        """log P(formula), [batch], differentiable.

        Args:
            positive: log P(variable is true), [batch, n].
            negative: the log-weights of the negative literals, [batch, n]; by default log(1 - P).

        Raises:
            UserError: a shape is wrong.
        """
        if negative is None:
            negative = log_of_rest(positive)
        if positive.shape != negative.shape or positive.shape[1:] != (self.variables,):
            raise UserError(
                f"the circuit has {self.variables} variables: give [batch, {self.variables}], not "
                f"{list(positive.shape)} and {list(negative.shape)}"
            )
        device = positive.device
        if device not in self._circuits:
            self._circuits[device] = Circuit(self.layout, device)
        return self._circuits[device].log_prob([torch.stack([positive, negative], 2).flatten(1)])


def log_of_rest(log_prob: Tensor) -> Tensor:
    """log(1 - P) of log P, to full precision near P = 0 and P = 1; no gradient flows where P = 1, whose log is -inf."""
    sure = log_prob == 0
    inside = log_prob.masked_fill(sure, -1.0)
    large = inside > -math.log(2)
    below = torch.log1p(-inside.masked_fill(large, -1.0).exp())
    above = torch.log(-torch.expm1(inside.masked_fill(~large, -0.5)))
    return torch.where(large, above, below).masked_fill(sure, -math.inf)


def read_cnf(path: str | Path, *, seconds: float = SECONDS, max_nodes: int = MAX_NODES) -> BooleanCircuit:
    """Compile a formula in DIMACS form.

    Args:
        path: the file: `p cnf VARIABLES CLAUSES`, then clauses that end in 0; lines that begin with c are comments.
        seconds: budget of CPU time.
        max_nodes: budget for the nodes of its diagram.

    Raises:
        UserError: the file is not one, or the budget was not enough.
    """
    with _reading(path, "a formula in DIMACS form"):
        variables, clauses = _clauses(Path(path))
    domains = tuple(Variable(str(v), "", (), (True, False)) for v in range(1, variables + 1))
    literals = tuple(("literal", v, 0) for v in range(variables))  # node v is variable v, and -v that it is false
    disjunctions = tuple(("or", clause) for clause in clauses)
    root = len(literals) + len(disjunctions) + 1
    conjunction = ("and", tuple(range(len(literals) + 1, root)))
    ground = GroundProgram(domains, (), (), (*literals, *disjunctions, conjunction), root, (), ())
    compiled = in_budget(
        lambda: compile_program(ground, max_nodes, seconds), seconds, f"the formula in {path}", "give it more seconds"
    )
    first_row = [2 * variable for variable in compiled.order]
    return BooleanCircuit(variables, plan_layers(compiled.nodes, [compiled.root], first_row))


def read_sdd(path: str | Path) -> BooleanCircuit:
    """Read a sentential decision diagram in the SDD package's format; its vtree is not needed.

    Raises:
        UserError: the file is not one.
    """
    nodes = _Nodes()
    with _reading(path, "an SDD"):
        for kind, number, *numbers in nodes.lines(Path(path), "sdd"):
            if kind in ("T", "F"):
                nodes.constant(number, kind == "T")
            elif kind == "L":
                nodes.literal(number, numbers[1])
            elif kind == "D" and len(numbers) == 2 + 2 * numbers[1]:
                nodes.sum(number, [(numbers[i], numbers[i + 1]) for i in range(2, len(numbers), 2)])
            else:
                raise ValueError(f"a node {kind} {number} of {len(numbers)} numbers")
        return nodes.circuit()


def read_nnf(path: str | Path) -> BooleanCircuit:
    """Read a circuit in c2d's .nnf format: `nnf NODES EDGES VARIABLES`, then a node a line, children first.

    `L LITERAL` is a literal, `A COUNT CHILDREN...` a conjunction and `O VARIABLE COUNT CHILDREN...` a disjunction of
    exclusive nodes; those of no children are true and false.

    Raises:
        UserError: the file is not one.
    """
    nodes = _Nodes()
    with _reading(path, "a circuit in .nnf form"):
        for number, (kind, *numbers) in enumerate(nodes.lines(Path(path), "nnf")):
            if kind == "L" and len(numbers) == 1:
                nodes.literal(number, numbers[0])
            elif kind == "A" and len(numbers) == 1 + numbers[0]:
                nodes.sum(number, [tuple(numbers[1:])])
            elif kind == "O" and len(numbers) == 2 + numbers[1]:
                nodes.sum(number, [(child,) for child in numbers[2:]])
            else:
                raise ValueError(f"a node {kind} of {len(numbers)} numbers")
        return nodes.circuit()


class _Nodes:
    """The nodes of a circuit in a file, from the literals up; by their numbers there."""

    def __init__(self) -> None:
        self.literals: dict[int, int] = {}
        self.constants: dict[int, bool] = {}
        self.sums: dict[int, list[tuple[int, ...]]] = {}
        self.depth: dict[int, int] = {}
        self.header: list[int] = []
        self.last = 0

    def lines(self, path: Path, word: str) -> Iterator[tuple[Any, ...]]:
        """The kind of node in each line below the header, which begins with this word, and its numbers."""
        for kind, *rest in _lines(path):
            if kind == word:
                self.header = [int(number) for number in rest]
            elif kind != "c":
                yield kind, *map(int, rest)
        if not self.header or not self.depth:
            raise ValueError(f"no line {word}, or no nodes")

    def constant(self, number: int, value: bool) -> None:
        """A node that is true or false."""
        self.constants[number], self.depth[number], self.last = value, 0, number

    def literal(self, number: int, literal: int) -> None:
        """A variable's number, negated where it is false."""
        if not literal:
            raise ValueError("literal 0")
        self.literals[number], self.depth[number], self.last = literal, 0, number

    def sum(self, number: int, products: Sequence[tuple[int, ...]]) -> None:
        """A node that is the sum of products of others."""
        below = [self.depth[child] for product in products for child in product]
        self.sums[number], self.depth[number], self.last = list(products), 1 + max(below, default=0), number

    def circuit(self) -> BooleanCircuit:
        """The circuit of the last node."""
        named = max((abs(literal) for literal in self.literals.values()), default=0)
        variables = max(named, self.header[2] if len(self.header) == 3 else 0)
        rows = {number: ONE if value else ZERO for number, value in self.constants.items()}
        rows |= {number: FIRST + 2 * (abs(x) - 1) + (x < 0) for number, x in self.literals.items()}
        by_depth: dict[tuple[int, int], list[int]] = defaultdict(list)  # and by about how many products
        for number, products in self.sums.items():
            by_depth[self.depth[number], max(len(products) - 1, 1).bit_length()].append(number)
        blocks: list[Block] = []
        row = FIRST + 2 * variables
        for _, members in sorted(by_depth.items()):
            blocks.append(padded_block([self._paths(number, rows) for number in members]))
            rows |= {number: row + i for i, number in enumerate(members)}
            row += len(members)
        return BooleanCircuit(variables, Layout(2 * variables, tuple(blocks), (rows[self.last],)))

    def _paths(self, number: int, rows: dict[int, int]) -> list[Product]:
        """The rows of each product that can be other than 0."""
        products = [tuple(rows[child] for child in product) for product in self.sums[number]]
        kept = [tuple(row for row in product if row != ONE) for product in products if ZERO not in product]
        return [product or (ONE,) for product in kept] or [(ZERO,)]


@contextmanager
def _reading(path: str | Path, what: str) -> Iterator[None]:
    """Whatever fails inside, the file is not what it should be; UserError says so."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(f"{path} is not {what}: {error}.") from error


def _lines(path: Path) -> Iterator[list[str]]:
    """The words of each line that has some."""
    return filter(None, map(str.split, read_regular(path).decode("ascii").splitlines()))


def _clauses(path: Path) -> tuple[int, list[tuple[int, ...]]]:
    """The number of variables of a DIMACS file, and its clauses."""
    variables, promised, numbers = 0, 0, list[int]()
    for words in _lines(path):
        if words[0] == "p":
            if words[1:2] != ["cnf"]:
                raise ValueError(f"a formula of the form {' '.join(words[1:2])}")
            variables, promised = map(int, words[2:])
        elif words[0] == "%":
            break  # what SATLIB's files end with
        elif words[0] != "c":
            numbers += [int(word) for word in words]
    clauses, clause = [], []
    for literal in numbers:
        if abs(literal) > variables:
            raise ValueError(f"literal {literal} of {variables} variables")
        if literal:
            clause.append(literal)
        else:
            clauses.append(tuple(clause))
            clause = []
    clauses += [tuple(clause)] if clause else []
    if len(clauses) != promised:
        raise ValueError(f"{len(clauses)} clauses where its header promises {promised}")
    return variables, clauses
