"""Constraint: a ProbLog rule over images as an exact, batched, differentiable log-probability."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, reduce
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from gedi_nesy.errors import UserError
from gedi_nesy.logic.arguments import count_values, read_values
from gedi_nesy.logic.circuit import Circuit
from gedi_nesy.logic.compile import Compiler
from gedi_nesy.logic.diagram import FALSE, TRUE, TooLarge, neural_solutions, smoothed
from gedi_nesy.logic.fact_weights import FactWeights
from gedi_nesy.logic.ground import Key, Value, Variable
from gedi_nesy.logic.layout import lay_out
from gedi_nesy.logic.likelihood import Likelihood
from gedi_nesy.logic.program import Program, Source, find_program, read_file
from gedi_nesy.logic.query import Query
from gedi_nesy.logic.reference import Reference
from gedi_nesy.logic.renaming import Alignment, Diagnosis, Symbols
from gedi_nesy.logic.solutions import Row, Solutions
from gedi_nesy.logic.time_limit import OutOfBudget
from gedi_nesy.logic.worlds import OwnDistribution

T = TypeVar("T")

SECONDS = 30.0  # budget
NOT_NORMALISED = 0.05  # probabilities in half precision sum to 1 within this, those of logits don't


class Constraint(nn.Module):
    """A rule, compiled once, evaluated for batches.

    The probability of the rule is that of ProbLog: each neural call is a categorical variable whose distribution a
    network gives, independent of the others; evidence is conditioned on. Everything is exact and in log space.

    Args:
        text: a ProbLog program with neural predicates.
        query: the goal, such as "addition(X,Y,Z)"; by default the program's query/1. Its variables are images, except
            those named in `arguments`.
        arguments: variables of the query whose value differs by example.
        engine: "exact", or "deepproblog": `log_prob` asks DeepProbLog's own solver, one example after the other.
        trust: allow the program to import Python and to consult files outside its folder.
        seconds: budget for parsing, and again for grounding and compiling.
        max_nodes: budget for the nodes of the decision diagram.
        name: what errors call the program.
        folder: where the program may consult files.

    Attributes:
        variables: the neural calls the rule makes, one categorical variable each.
        arguments: the names of the query's arguments.
        answers: the values of the arguments for which the rule is possible; one empty tuple without arguments.
        consulted: the files that the program loads, ProbLog's own left out.

    Raises:
        UserError: the program or query is wrong, can't be compiled, or the budget was not enough.
    """

    def __init__(
        self,
        text: str,
        query: str | None = None,
        arguments: Sequence[str] = (),
        *,
        engine: str = "exact",
        trust: bool = False,
        seconds: float = SECONDS,
        max_nodes: int = 2_000_000,
        name: str = "the program",
        folder: str | Path = ".",
    ) -> None:
        super().__init__()
        if engine not in ("exact", "deepproblog"):
            raise UserError(f"there is no engine {engine}, only exact and deepproblog")
        program = Program(Source(text, name, Path(folder), seconds))
        self.query = Query(program, query, arguments)
        self.arguments = self.query.arguments
        self._compiler = Compiler(program, self.query, seconds, max_nodes, trust)
        self._ground, self._compiled = self._compiler.rule()
        self.variables: tuple[Variable, ...] = self._ground.variables
        self.answers: tuple[tuple[Value, ...], ...] = tuple(self._compiled.roots)
        self.consulted = tuple(map(Path, self._ground.consulted))
        self.weights = FactWeights(program, self._ground.facts)
        self._reference = Reference(self._compiler, self.variables) if engine == "deepproblog" else None
        self._first_row = [0, *accumulate(self._ground.sizes)]  # of each variable's literals
        self._rows = {v.key: slice(*rows) for v, rows in zip(self.variables, pairwise(self._first_row), strict=False)}
        self._stretches = _stretches([len(variable.domain) for variable in self.variables])
        self._number_of_answer = {answer: number for number, answer in enumerate(self.answers)}
        self._known = [dict.fromkeys(a[i] for a in self.answers) for i in range(len(self.arguments))]
        self._conditional = self._compiled.evidence != TRUE
        self._circuits: dict[tuple[str, torch.device], Circuit] = {}
        self._impossible: set[tuple[Value, ...]] = set()  # answers that were asked for and turned out so

    @classmethod
    def from_file(
        cls, path: str | Path, query: str | None = None, arguments: Sequence[str] = (), **options: Any
    ) -> "Constraint":
        """The rule in a file, or in one of our programs by its name; see the class for the options."""
        source = read_file(find_program(path), options.get("seconds", SECONDS))
        return cls(source.text, query, arguments, name=source.name, folder=source.folder, **options)

    def __repr__(self) -> str:
        keys = ", ".join(str(variable.key) for variable in self.variables)
        return f"Constraint({self.query.goal}; {keys or 'no images'}; {self.size} nodes)"

    @property
    def size(self) -> int:
        """Number of nodes of the decision diagram."""
        return self._compiled.size

    def log_prob(self, inputs: Mapping[Key, Tensor], arguments: Mapping[str, Sequence[Value]] | None = None) -> Tensor:
        """log P(rule | images), conditioned on the program's evidence.

        Args:
            inputs: for each variable's key the log-probabilities of its domain, [batch, values].
            arguments: for each argument of the query its value in each example; 7 finds the answer 7.0, too (a
                rule that has both is refused).

        Returns:
            [batch] (of one example where the query reaches no image and has no arguments); differentiable, by
            torch.func too.
            -inf, with a warning and no gradient, where the rule is impossible.

        Raises:
            UserError: a key, shape or value is wrong, or the values are no log-probabilities.
        """
        columns = self._columns(inputs, arguments)
        answer = self._answer_numbers(arguments, columns[0].device)
        if self._reference is None:
            circuit = self._circuit("sum", columns[0].device)
            result = circuit.log_prob(columns, answer, conditional=self._conditional)
        else:
            numbers = [0] * len(columns[0]) if answer is None else answer.tolist()
            answers = [[*self.answers, None][number] for number in numbers]
            result = self._reference.log_prob(inputs, answers, self.weights.probabilities())
        self._warn_if_impossible(result)
        return result

    def forward(self, inputs: Mapping[Key, Tensor], arguments: Mapping[str, Sequence[Value]] | None = None) -> Tensor:
        """`log_prob`, for where a module is called."""
        return self.log_prob(inputs, arguments)

    @torch.no_grad()
    def most_probable(
        self, inputs: Mapping[Key, Tensor], arguments: Mapping[str, Sequence[Value]] | None = None
    ) -> tuple[dict[Key, Tensor], Tensor]:
        """The most probable symbols among those that satisfy the rule.

        Args:
            inputs: as for `log_prob`.
            arguments: as for `log_prob`.

        Returns:
            For each key the index into its domain, [batch]; and log P(these symbols, rule | images), [batch].
        """
        columns = self._columns(inputs, arguments)
        answer = self._answer_numbers(arguments, columns[0].device)
        values, chosen = self._circuit("max", columns[0].device).choices(columns, self._at(answer, columns[0]))
        result = values[0] if answer is None else values.gather(0, answer.unsqueeze(0))[0]
        if self._conditional:
            result = result - self._log_evidence(columns)
        self._warn_if_impossible(result)
        return {key: chosen[rows].argmax(0) for key, rows in self._rows.items()}, result

    @torch.no_grad()
    def posterior(
        self, inputs: Mapping[Key, Tensor], arguments: Mapping[str, Sequence[Value]] | None = None
    ) -> dict[Key, Tensor]:
        """log P(symbol | rule holds, images) of each variable; not differentiable.

        Args:
            inputs: as for `log_prob`.
            arguments: as for `log_prob`.

        Returns:
            For each key [batch, values]; -inf, with a warning, where the rule is impossible.
        """
        columns = self._columns(inputs, arguments)
        answer = self._answer_numbers(arguments, columns[0].device)
        flow = self._circuit("posterior", columns[0].device).log_flow(columns, self._at(answer, columns[0]).log())
        for rows in list(self._rows.values())[:1]:
            self._warn_if_impossible(flow[rows].amax(0))
        return {key: flow[rows].t() for key, rows in self._rows.items()}

    @torch.no_grad()
    def draw(
        self,
        inputs: Mapping[Key, Tensor],
        arguments: Mapping[str, Sequence[Value]] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> dict[Key, Tensor]:
        """Draw the symbols of each example from p(symbols | rule holds, images), jointly and exactly.

        Args:
            inputs: as for `log_prob`.
            arguments: as for `log_prob`.
            generator: on the inputs' device.

        Returns:
            For each key indices into its domain, [batch]; any, with a warning, where the rule is impossible.
        """
        columns = self._columns(inputs, arguments)
        answer = self._answer_numbers(arguments, columns[0].device)
        value, drawn = self._circuit("posterior", columns[0].device).draw(columns, answer, generator)
        self._warn_if_impossible(value)
        return {key: drawn[rows].argmax(0) for key, rows in self._rows.items()}

    def count(self) -> int:
        """How many assignments of symbols (and of arguments, where the query has some) satisfy the rule."""
        return self._solutions.total

    def marginals(self) -> dict[Key, Tensor]:
        """The probability of each symbol among the assignments that `sample` draws, [values] each."""
        marginals = self._distribution.marginals()
        return {v.key: m.to(torch.get_default_dtype()) for v, m in zip(self.variables, marginals, strict=True)}

    def sample(self, n: int, generator: torch.Generator | None = None) -> dict[Key, Any]:
        """Draw satisfying assignments from the program's own distribution.

        Its facts are drawn by their probabilities (start values where they are learnable), given its evidence; then
        one of the assignments that satisfy the rule with these facts, each equally likely.

        Args:
            n: how many, at least one.
            generator: on the CPU.

        Returns:
            For each key indices into its domain, [n]; for each argument of the query a list of n values.
        """
        if n < 1:
            raise UserError(f"at least one assignment can be drawn, not {n}")
        answers, values = self._distribution.sample(n, generator)
        drawn: dict[Key, Any] = {v.key: column for v, column in zip(self.variables, values, strict=True)}
        for position, argument in enumerate(self.query.arguments):
            drawn[argument] = [self.answers[answer][position] for answer in answers.tolist()]
        return drawn

    def diagnose(self, support: Mapping[str, Any] | None = None, *, seconds: float = 10.0) -> Diagnosis:
        """Which concept maps, renamings of each network's symbols, leave the rule as probable as it is on its support.

        Args:
            support: satisfying assignments in the form of `sample`, such as the symbols of the training examples; by
                default all of them.
            seconds: budget; past it the counts are lower bounds and `.exact` is False.

        Raises:
            UserError: an assignment in the support does not satisfy the rule, or is none.
        """
        rows = None
        if support is not None:
            rows = self._rows_of(*self._support(support))
            wrong = next((i for i, row in enumerate(rows) if not self._symbols.highest(*row)), None)
            if wrong is not None:
                raise UserError(f"assignment {wrong} of the support does not satisfy {self.query.goal}")
        return self._symbols.diagnose(rows, seconds)

    def align(
        self,
        log_probs: Mapping[Key, Tensor],
        arguments: Mapping[str, Sequence[Value]] | None = None,
        *,
        seconds: float = 10.0,
    ) -> Alignment:
        """Name clusters by the rule: the bijection from clusters to symbols under which it is most probable.

        Each image counts as its most probable cluster. Exact unless the budget ends the search.

        Args:
            log_probs: for each key the log-probabilities of the clusters, [batch, values].
            arguments: as for `log_prob`.
            seconds: budget.

        Raises:
            UserError: as for `log_prob`, or there are no examples.
        """
        columns = self._columns(log_probs, arguments)
        clusters = {v.key: column.argmax(1) for v, column in zip(self.variables, columns, strict=False)}
        rows = self._rows_of(clusters, arguments or {})
        if not rows:
            raise UserError("there are no images to name clusters by")
        return self._symbols.align(rows, seconds)

    def _support(self, support: Mapping[str, Any]) -> tuple[dict[Key, Tensor], dict[str, Sequence[Value]]]:
        """The indices of given assignments, and their arguments, checked."""
        missing = [key for key in (*self._rows, *self.arguments) if key not in support]
        if missing:
            raise UserError(f"the support has no {missing[0]}: it needs the form that sample() returns")
        labels = {v.key: torch.as_tensor(support[v.key]) for v in self.variables}
        for v in self.variables:
            if labels[v.key].ndim != 1 or labels[v.key].is_floating_point():
                found = f"{list(labels[v.key].shape)} {labels[v.key].dtype}"
                raise UserError(f"the support needs a list of indices for {v.key}, one an assignment, not {found}")
            wrong = [index for index in labels[v.key].tolist() if index not in range(len(v.domain))]
            if wrong:
                raise UserError(f"the support has {wrong[0]} for {v.key}, no index into its {len(v.domain)} values")
        arguments = {name: support[name] for name in self.arguments}
        lengths = {len(values) for values in (*labels.values(), *arguments.values())}
        if len(lengths) > 1:
            raise UserError(f"the variables of the support differ in their number of assignments: {sorted(lengths)}")
        return labels, arguments

    def _rows_of(self, labels: Mapping[Key, Tensor], arguments: Mapping[str, Sequence[Value]]) -> list[Row]:
        """Assignments as the number of their answer and the value at each level of the solutions' diagram."""
        columns = [labels[self.variables[variable].key].tolist() for variable in self._solutions.order]
        rows = list(zip(*columns, strict=True))
        impossible = len(self.answers)
        numbers = [self._number_of_answer.get(answer, impossible) for answer in self._argument_rows(arguments)]
        return list(zip(numbers if self.arguments else [0] * len(rows), rows, strict=True))

    @cached_property
    def _symbols(self) -> Symbols:
        return Symbols(self.variables, self._solutions, self._likelihood(), self._distribution)

    def _likelihood(self) -> Likelihood:
        weights = self._start_weights
        try:
            return self._in_budget(lambda: Likelihood(self._ground, self._compiled, weights))
        except (TooLarge, OutOfBudget):
            warnings.warn(
                f"P({self.query.goal}) takes too many values to tell symbols apart by it: they are by what is possible",
                stacklevel=4,
            )
            return self._in_budget(lambda: Likelihood(self._ground, neural_solutions(self._ground, self._compiled), ()))

    @cached_property
    def _distribution(self) -> OwnDistribution:
        self._check_satisfiable()
        weights = self._start_weights
        return self._in_budget(lambda: OwnDistribution(self._ground, self._compiled, weights))

    def _in_budget(self, work: Callable[[], T]) -> T:
        """What `work` makes of the diagrams, in a child process if there are random variables of the rule's own.

        Raises:
            OutOfBudget: it takes more than the seconds, or the memory, of a compilation.
        """
        if not self._ground.facts:
            return work()
        what = f", with {len(self._ground.facts):,} random variables of its own,"
        return self._compiler.limited(work, what, "give it fewer, or raise seconds")

    @property
    def _start_weights(self) -> list[list[float]]:
        """The probability of each value of each of the program's own variables; of a learnable one, where it starts."""
        parameters = self._compiler.program.parameters
        return [fact.start_weights(parameters) for fact in self._ground.facts]

    @cached_property
    def _solutions(self) -> Solutions:
        return self._in_budget(lambda: Solutions(neural_solutions(self._ground, self._compiled)))

    def _check_satisfiable(self) -> None:
        if not self._solutions.total:
            raise UserError(f"no assignment satisfies {self.query.goal}")

    def _circuit(self, kind: str, device: torch.device) -> Circuit:
        """The answers' circuit, an impossible answer last: their "sum", where needed with the evidence's; their "max";
        or their sum in the smooth form that a "posterior" needs."""
        if (kind, device) not in self._circuits:
            compiled, maximise_above = self._compiled, 0
            if kind == "max":
                compiled = smoothed(self._compiler.facts_last(self._ground))
                maximise_above = len(self.variables)
            elif kind == "posterior":
                compiled = smoothed(compiled)
            roots = [*compiled.roots.values(), FALSE]
            if kind == "sum":
                roots = (roots if self.arguments else roots[:1]) + [compiled.evidence] * self._conditional
            first_row = [self._first_row[variable] for variable in compiled.order]
            layout = lay_out(compiled.diagram, roots, first_row, maximise_above)
            self._circuits[kind, device] = Circuit(layout, device)
        return self._circuits[kind, device]

    def _columns(self, inputs: Mapping[Key, Tensor], arguments: Mapping[str, Sequence[Value]] | None) -> list[Tensor]:
        """log-probabilities of each variable's values, then those of the program's own variables, [batch, values]."""
        if inputs.keys() != self._rows.keys():
            raise UserError(f"log-probabilities were given for {list(inputs)}, but the rule needs {list(self._rows)}")
        given = arguments or {}
        if given.keys() != set(self.arguments):
            raise UserError(f"arguments were given for {list(given)}, but the query has {list(self.arguments)}")
        columns = [self._column(variable, inputs[variable.key]) for variable in self.variables]
        if len(devices := {str(column.device) for column in columns}) > 1:
            raise UserError(f"the inputs lie on {' and '.join(sorted(devices))}: move them to one device")
        batches = {c.shape[0] for c in columns} | {count_values(*item) for item in given.items()} or {1}
        if len(batches) > 1:
            raise UserError(f"inputs and arguments differ in their number of examples: {sorted(batches)}")
        if len({column.dtype for column in columns}) > 1:
            dtype = reduce(torch.promote_types, (column.dtype for column in columns))
            columns = [column.to(dtype) for column in columns]
        if columns:
            self._check_normalised(columns)
        if self._ground.facts or not columns:
            dtype = columns[0].dtype if columns else torch.float64
            device = columns[0].device if columns else torch.device("cpu")
            columns.append(self.weights(dtype, device).expand(batches.pop(), -1))
        return columns

    def _column(self, variable: Variable, log_probs: Tensor) -> Tensor:
        """One variable's input, in single precision at least."""
        if not isinstance(log_probs, Tensor):
            raise UserError(f"{variable.key} needs log-probabilities as a tensor, not as {type(log_probs).__name__}")
        if log_probs.is_meta or log_probs.layout != torch.strided or log_probs.is_nested:
            kind = "meta" if log_probs.is_meta else "nested" if log_probs.is_nested else "sparse"
            raise UserError(f"{variable.key} is a {kind} tensor: the rule needs a dense one that holds values")
        if _is_batched(log_probs):
            raise UserError(
                f"{variable.key} comes from vmap, and the rule takes its examples as a batch: pass them as "
                f"[batch, {len(variable.domain)}] and leave vmap out"
            )
        if log_probs.shape[1:] != (len(variable.domain),) or not log_probs.is_floating_point():
            raise UserError(
                f"{variable.key} needs log-probabilities of its {len(variable.domain)} values "
                f"{_short(variable.domain)}, as [batch, {len(variable.domain)}], "
                f"not {list(log_probs.shape)} {log_probs.dtype}"
            )
        return log_probs if log_probs.dtype in (torch.float32, torch.float64) else log_probs.float()

    def _check_normalised(self, columns: list[Tensor]) -> None:
        """One look for each stretch of variables with domains of one size; a second one only to say what is wrong."""
        for first, last in self._stretches:
            totals = torch.stack(columns[first:last]).detach().exp_().sum(2)
            if not float(totals.sub_(1).abs_().max() if totals.numel() else 0.0) <= NOT_NORMALISED:  # nan is not
                break
        else:
            return
        for variable, column in zip(self.variables, columns, strict=True):
            total = column.detach().exp().sum(1)
            wrong = ~((total - 1).abs() <= NOT_NORMALISED)
            if wrong.any():
                example = int(wrong.nonzero()[0])
                raise UserError(
                    f"the values for {variable.key} are no log-probabilities: in example {example} the probabilities "
                    f"sum to {total[example]:.4g}; pass logits.log_softmax(-1)"
                )

    def _answer_numbers(self, arguments: Mapping[str, Sequence[Value]] | None, device: torch.device) -> Tensor | None:
        """The number of each example's root, [batch], that of the impossible one where there is no such answer; None
        without arguments, where it is the first."""
        if not arguments:
            return None
        rows, impossible = self._argument_rows(arguments), len(self.answers)
        if self._ground.open_tests:
            self._check_unknown({row for row in rows if row not in self._number_of_answer})
        numbers = [self._number_of_answer.get(row, impossible) for row in rows]
        return torch.tensor(numbers, dtype=torch.long, device=device)

    def _argument_rows(self, arguments: Mapping[str, Sequence[Value]]) -> list[tuple[Value, ...]]:
        """The arguments' values in each example, as `answers` has them."""
        exhaustive = not self._ground.open_tests
        columns = [
            read_values(name, arguments[name], known, exhaustive)
            for name, known in zip(self.arguments, self._known, strict=True)
        ]
        return list(zip(*columns, strict=True))

    def check_possible(self, answer: tuple[Value, ...]) -> None:
        """UserError if there are no symbols that satisfy the rule with these values of its arguments."""
        if answer in self._number_of_answer:
            return
        if self._ground.open_tests:
            self._check_unknown({answer})
        given = ", ".join(f"{name} = {value!r}" for name, value in zip(self.arguments, answer, strict=True))
        possible = [known[0] if len(known) == 1 else known for known in self.answers]
        raise UserError(f"the rule is impossible for {given}; possible are {_short(possible) or 'none'}.")

    def _check_unknown(self, answers: set[tuple[Value, ...]]) -> None:
        """Whether answers that were not found while the arguments were open are impossible when they are given."""
        for answer in answers - self._impossible:
            if self._compiler.has_answer(answer):
                raise UserError(
                    f"{self.query.given(answer)} has an answer, but the rule does not find it while "
                    f"{', '.join(self.arguments)} is open, by {', '.join(self._ground.open_tests)}: let it find "
                    "the values first, as by between(0,9,N), or ask for one value as a query of its own"
                )
            self._impossible.add(answer)

    def _at(self, answer: Tensor | None, like: Tensor) -> Tensor:
        """1 where an example's root is, [roots, batch]."""
        if answer is None:
            answer = torch.zeros(len(like), dtype=torch.long, device=like.device)
        return torch.nn.functional.one_hot(answer, len(self.answers) + 1).t().to(like.dtype)

    def _log_evidence(self, columns: Sequence[Tensor]) -> Tensor:
        """log P(evidence), [batch]."""
        circuit = self._circuit("sum", columns[0].device)
        last = torch.full((len(columns[0]),), len(circuit.roots) - 1, device=columns[0].device)
        return circuit.log_prob(columns, last, conditional=False)

    def _warn_if_impossible(self, log_prob: Tensor) -> None:
        log_prob = log_prob.detach()
        if log_prob.shape[0] and log_prob.min().item() == -math.inf:
            rows = log_prob.isneginf().nonzero().flatten().tolist()
            warnings.warn(
                f"{self.query.goal} is impossible for {len(rows)} of {len(log_prob)} examples ({_short(rows)}): "
                "log-probability -inf",
                stacklevel=3,
            )


def _is_batched(tensor: Tensor) -> bool:
    """Whether a tensor stands for one of vmap's slices, whatever transforms lie around it."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        if functorch.is_batchedtensor(tensor):
            return True
        tensor = functorch.get_unwrapped(tensor)
    return False


def _stretches(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """From which variable to which all domains have one size."""
    ends = list(accumulate(len(list(group)) for _, group in groupby(sizes)))
    return list(zip([0, *ends], ends, strict=False))


def _short(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
