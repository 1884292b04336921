"""Constraint: a ProbLog rule over images as an exact, batched, differentiable log-probability."""

import math
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gedi_nesy.errors import UserError
from gedi_nesy.html_table import html_table
from gedi_nesy.logic.alignment import Alignment, align
from gedi_nesy.logic.analysis import Analysis
from gedi_nesy.logic.arguments import Answers, Arguments, shortened
from gedi_nesy.logic.circuits import Circuits
from gedi_nesy.logic.compile import Compiler
from gedi_nesy.logic.concept_maps import ConceptMaps, find_concept_maps
from gedi_nesy.logic.deepproblog import DeepProbLogRule
from gedi_nesy.logic.diagram import TRUE
from gedi_nesy.logic.fact_weights import FactWeights
from gedi_nesy.logic.ground import Key, Value, Variable
from gedi_nesy.logic.inputs import Inputs, read_support
from gedi_nesy.logic.program import Program, Source, find_program, read_file
from gedi_nesy.logic.query import Query

SECONDS = 30.0  # budget


class Constraint(nn.Module):
    """A rule, compiled once, evaluated for batches.

    Its probability is ProbLog's: each neural call is a categorical variable whose distribution a network gives,
    independent of the others; the program's evidence is conditioned on. Everything is exact and in log space.

    Args:
        program: a ProbLog program with neural predicates: its text, or a `Source` that was parsed before.
        query: the goal, such as "addition(X,Y,Z)"; by default the program's query/1. Its variables are images, except
            those named in `arguments`.
        arguments: variables of the query whose value differs by example.
        engine: "exact", or "deepproblog": `log_prob` asks DeepProbLog's own solver, one example after the other.
        trust: allow the program to import Python and to consult files outside its folder.
        seconds: budget for parsing, and again for grounding and compiling.
        max_nodes: budget for the nodes of the decision diagram.
        folder: where a text may consult files.

    Attributes:
        program: the program, parsed and checked.
        query: the goal.
        variables: the neural calls the rule makes, one categorical variable each.
        arguments: the names of the query's arguments.
        answers: the values of the arguments for which the rule is possible; one empty tuple without arguments.
        diagram: the rule's decision diagrams: `diagram.roots` has a root for each answer, `diagram.nodes` the nodes
            below, `diagram.order` the variable at each level, numbered as in `variables` and on through the rule's
            own facts. A node is a number: FALSE (0), TRUE (1), or n with `nodes.level[n]` and `nodes.children[n]`, one
            child for each value.
        weights: the probabilities of the rule's own facts; those written `t(...)` are parameters.
        consulted: the files that the program loads, ProbLog's own left out.

    Raises:
        UserError: the program or query is wrong, can't be compiled, or the budget was not enough.
    """

    def __init__(
        self,
        program: str | Source,
        query: str | None = None,
        arguments: Sequence[str] = (),
        *,
        engine: str = "exact",
        trust: bool = False,
        seconds: float = SECONDS,
        max_nodes: int = 2_000_000,
        folder: str | Path = ".",
    ) -> None:
        super().__init__()
        if engine not in ("exact", "deepproblog"):
            raise UserError(f"there is no engine {engine}, only exact and deepproblog")
        if isinstance(program, str):
            program = Source(program, "the program", Path(folder), seconds)
        self.program = Program(program)
        self.query = Query(self.program, query, arguments)
        self.arguments = self.query.arguments
        self._compiler = Compiler(self.program, self.query, seconds, max_nodes, trust)
        self._ground, self.diagram = self._compiler.rule()
        self.variables: tuple[Variable, ...] = self._ground.variables
        self.answers: tuple[tuple[Value, ...], ...] = tuple(self.diagram.roots)
        self.consulted = tuple(map(Path, self._ground.consulted))
        self.weights = FactWeights(self.program, self._ground.facts)
        self._conditional = self.diagram.evidence != TRUE
        self._inputs = Inputs(self.variables)
        self._answers = Answers(self.query, self.answers, self._ground.open_tests, self._compiler.has_answer)
        first_row = [0, *accumulate(self._ground.sizes)]  # of each variable's literals
        self._rows = {v.key: slice(*rows) for v, rows in zip(self.variables, pairwise(first_row), strict=False)}
        starts = [parameter.start for parameter in self.program.parameters]
        self._analysis = Analysis(str(self.query.goal), self._ground, self.diagram, starts, self._compiler.limited)
        facts_last = partial(self._compiler.facts_last, self._ground)
        self._circuits = Circuits(self.diagram, facts_last, first_row, len(self.variables), bool(self.arguments))
        self._reference = DeepProbLogRule(self._compiler, self.variables) if engine == "deepproblog" else None

    @classmethod
    def from_file(
        cls, path: str | Path, query: str | None = None, arguments: Sequence[str] = (), **options: Any
    ) -> "Constraint":
        """The rule in a file, or in one of our programs by its name; see the class for the options."""
        source = read_file(find_program(path), options.get("seconds", SECONDS))
        return cls(source, query, arguments, **options)

    def __repr__(self) -> str:
        keys = ", ".join(str(variable.key) for variable in self.variables)
        return f"Constraint({self.query.goal}; {keys or 'no images'}; {self.size} nodes)"

    def _repr_html_(self) -> str:
        symbols = [(v.key, f"read by {v.network}: {', '.join(map(str, v.domain))}") for v in self.variables]
        arguments = [("Arguments", ", ".join(self.arguments))] if self.arguments else []
        return html_table([("Query", self.query.goal), *symbols, *arguments, ("Size", f"{self.size} nodes")])

    @property
    def size(self) -> int:
        """Number of nodes of the decision diagram."""
        return self.diagram.size

    def number_answers(self, arguments: Mapping[str, Sequence[Value]]) -> Tensor | None:
        """The number of each example's answer, which every method takes in the place of the arguments' values.

        Args:
            arguments: for each argument of the query its value in each example.

        Returns:
            Indices into `answers`, int64 [batch] on the CPU; len(answers) where the rule is impossible. None where the
            query has no arguments.

        Raises:
            UserError: an argument is missing or unknown, or a value is wrong.
        """
        return self._answers.read(arguments)

    def check_possible(self, answer: tuple[Value, ...]) -> None:
        """UserError if no symbols satisfy the rule with these values of its arguments."""
        self._answers.check_possible(answer)

    def log_prob(self, inputs: Mapping[Key, Tensor], arguments: Arguments | None = None) -> Tensor:
        """log P(rule | images), conditioned on the program's evidence.

        Args:
            inputs: for each variable's key the log-probabilities of its domain, [batch, values].
            arguments: for each argument of the query its value in each example; 7 finds the answer 7.0, too (a
                rule that has both is refused). Or what `number_answers` returns for them, on any device: quicker where
                the same examples come again.

        Returns:
            [batch] (of one example where the query reaches no image and has no arguments); differentiable, by
            torch.func too.
            -inf, with a warning and no gradient, where the rule is impossible.

        Raises:
            UserError: a key, shape or value is wrong, or the values are no log-probabilities.
        """
        columns, answer = self._read(inputs, arguments)
        if self._reference is None:
            circuit = self._circuits.get("sum", columns[0].device)
            result = circuit.log_prob(columns, answer, conditional=self._conditional)
        else:
            numbers = [0] * len(columns[0]) if answer is None else answer.tolist()
            answers = [[*self.answers, None][number] for number in numbers]
            result = self._reference.log_prob(inputs, answers, self.weights.probabilities())
        self._warn_if_impossible(result)
        return result

    def forward(self, inputs: Mapping[Key, Tensor], arguments: Arguments | None = None) -> Tensor:
        """`log_prob`, for where a module is called."""
        return self.log_prob(inputs, arguments)

    @torch.no_grad()
    def most_probable(
        self, inputs: Mapping[Key, Tensor], arguments: Arguments | None = None
    ) -> tuple[dict[Key, Tensor], Tensor]:
        """The most probable symbols among those that satisfy the rule.

        Args:
            inputs: as for `log_prob`.
            arguments: as for `log_prob`.

        Returns:
            For each key the index into its domain, [batch]; and log P(these symbols, rule | images), [batch].
        """
        columns, answer = self._read(inputs, arguments)
        values, chosen = self._circuits.get("max", columns[0].device).choices(columns, self._at(answer, columns[0]))
        result = values[0] if answer is None else values.gather(0, answer.unsqueeze(0))[0]
        if self._conditional:
            result = result - self._log_evidence(columns)
        self._warn_if_impossible(result)
        return {key: chosen[rows].argmax(0) for key, rows in self._rows.items()}, result

    @torch.no_grad()
    def posterior(self, inputs: Mapping[Key, Tensor], arguments: Arguments | None = None) -> dict[Key, Tensor]:
        """log P(symbol | rule holds, images) of each variable; not differentiable.

        Args:
            inputs: as for `log_prob`.
            arguments: as for `log_prob`.

        Returns:
            For each key [batch, values]; -inf, with a warning, where the rule is impossible.
        """
        columns, answer = self._read(inputs, arguments)
        circuit = self._circuits.get("posterior", columns[0].device)
        flow = circuit.log_flow(columns, self._at(answer, columns[0]).log())
        for rows in list(self._rows.values())[:1]:
            self._warn_if_impossible(flow[rows].amax(0))
        return {key: flow[rows].t() for key, rows in self._rows.items()}

    @torch.no_grad()
    def sample_posterior(
        self,
        inputs: Mapping[Key, Tensor],
        arguments: Arguments | None = None,
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
        columns, answer = self._read(inputs, arguments)
        value, drawn = self._circuits.get("posterior", columns[0].device).sample(columns, answer, generator)
        self._warn_if_impossible(value)
        return {key: drawn[rows].argmax(0) for key, rows in self._rows.items()}

    def count(self) -> int:
        """How many assignments of symbols (and of arguments, where the query has some) satisfy the rule."""
        return self._analysis.solutions.total

    def marginals(self) -> dict[Key, Tensor]:
        """The probability of each symbol among the assignments that `sample` draws, [values] for each key."""
        marginals = self._analysis.distribution.marginals()
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
        answers, values = self._analysis.distribution.sample(n, generator)
        drawn: dict[Key, Any] = {v.key: column for v, column in zip(self.variables, values, strict=True)}
        for position, argument in enumerate(self.query.arguments):
            drawn[argument] = [self.answers[answer][position] for answer in answers.tolist()]
        return drawn

    def diagnose(self, support: Mapping[str, Any] | None = None, *, seconds: float = 10.0) -> ConceptMaps:
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
            labels, arguments = read_support(support, self.variables, self.arguments)
            rows = self._analysis.rows_of(labels, self._answers.read(arguments))
            wrong = next((i for i, row in enumerate(rows) if not self._analysis.renamings.highest(*row)), None)
            if wrong is not None:
                raise UserError(f"assignment {wrong} of the support does not satisfy {self.query.goal}")
        return find_concept_maps(self._analysis.renamings, rows, seconds)

    def align(
        self, log_probs: Mapping[Key, Tensor], arguments: Arguments | None = None, *, seconds: float = 10.0
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
        columns, answer = self._read(log_probs, arguments)
        clusters = {v.key: column.argmax(1) for v, column in zip(self.variables, columns, strict=False)}
        rows = self._analysis.rows_of(clusters, answer)
        if not rows:
            raise UserError("there are no images to name clusters by")
        return align(self._analysis.renamings, rows, seconds)

    def _read(self, inputs: Mapping[Key, Tensor], arguments: Arguments | None) -> tuple[list[Tensor], Tensor | None]:
        """The log-probabilities of each variable, then of all facts, [batch, values]; and the answers' numbers."""
        answer = self._answers.read(arguments)
        columns = self._inputs.read(inputs, None if answer is None else len(answer))
        if self._ground.facts or not columns:
            dtype = columns[0].dtype if columns else torch.float64
            device = columns[0].device if columns else torch.device("cpu")
            examples = len(columns[0]) if columns else 1 if answer is None else len(answer)
            columns.append(self.weights(dtype, device).expand(examples, -1))
        return columns, None if answer is None else answer.to(columns[0].device)

    def _at(self, answer: Tensor | None, like: Tensor) -> Tensor:
        """1 where an example's root is, [roots, batch]."""
        if answer is None:
            answer = torch.zeros(len(like), dtype=torch.long, device=like.device)
        return torch.nn.functional.one_hot(answer, len(self.answers) + 1).t().to(like.dtype)

    def _log_evidence(self, columns: Sequence[Tensor]) -> Tensor:
        """log P(evidence), [batch]."""
        circuit = self._circuits.get("sum", columns[0].device)
        last = torch.full((len(columns[0]),), len(circuit.roots) - 1, device=columns[0].device)
        return circuit.log_prob(columns, last, conditional=False)

    def _warn_if_impossible(self, log_prob: Tensor) -> None:
        log_prob = log_prob.detach()
        if log_prob.shape[0] and log_prob.min().item() == -math.inf:
            rows = log_prob.isneginf().nonzero().flatten().tolist()
            warnings.warn(
                f"{self.query.goal} is impossible for {len(rows)} of {len(log_prob)} examples ({shortened(rows)}): "
                "log-probability -inf",
                stacklevel=3,
            )
