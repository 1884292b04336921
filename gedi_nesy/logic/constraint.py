"""Constraint: a ProbLog rule over images as an exact, batched, differentiable log-probability."""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gedi_nesy.errors import UserError
from gedi_nesy.logic.alignment import Alignment, align
from gedi_nesy.logic.analysis import Analysis
from gedi_nesy.logic.answers import Answers
from gedi_nesy.logic.arguments import ArgumentReader, Arguments, shortened
from gedi_nesy.logic.circuits import Circuits
from gedi_nesy.logic.columns import Columns
from gedi_nesy.logic.compile import Compiler
from gedi_nesy.logic.concept_maps import ConceptMaps, find_concept_maps
from gedi_nesy.logic.deepproblog import DeepProbLogRule
from gedi_nesy.logic.evidence import Evidence, with_evidence
from gedi_nesy.logic.fact_weights import FactWeights
from gedi_nesy.logic.ground import Key, Value, Variable
from gedi_nesy.logic.inputs import read_support
from gedi_nesy.logic.looks import Looks
from gedi_nesy.logic.posterior import Posterior
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
        arguments: variables of the query whose value differs by example; `S:3` is an S whose values are lists of three.
        engine: "exact", or "deepproblog": `log_prob` asks DeepProbLog's own solver, one example after the other.
        trust: allow the program to import Python and to consult files outside its folder.
        seconds: budget of CPU time for parsing, and again for grounding and compiling.
        max_nodes: budget for the nodes of the decision diagram.
        folder: where a text may consult files.
        evidence: goals about the query's images whose truth each example gives, under their text, as one of the
            arguments; the rule is conditioned on it. `log_prob` makes such a rule itself where it is given evidence.

    Attributes:
        program: the program, parsed and checked.
        query: the goal.
        variables: the neural calls the rule makes, one categorical variable each.
        arguments: the names of the query's arguments.
        diagram: the rule's decision diagram: `diagram.root`, `diagram.nodes` the nodes below, `diagram.order` the
            variable at each level, numbered as in `variables` and on through the rule's own facts and its arguments.
            A node is a number: FALSE (0), TRUE (1), or n with `nodes.level[n]` and `nodes.children[n]`, one child for
            each value; an argument has one more, for all values that the rule does not ask for.
        weights: the probabilities of the rule's own facts; those written `t(...)` are parameters.
        consulted: the files that the program loads, ProbLog's own left out.
        looks: at whether calls make sense: on a GPU, where gradients are on, a mistake is reported by a later call.

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
        evidence: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if engine not in ("exact", "deepproblog"):
            raise UserError(f"there is no engine {engine}, only exact and deepproblog")
        if isinstance(program, str):
            program = Source(program, "the program", Path(folder), seconds)
        self.program = Program(program)
        self.query = Query(self.program, query, arguments, evidence)
        self.arguments = self.query.arguments
        self._options: dict[str, Any] = {"engine": engine, "trust": trust, "seconds": seconds, "max_nodes": max_nodes}
        self._with_evidence: dict[tuple[str, ...], Constraint] = {}
        self._compiler = Compiler(self.program, self.query, seconds, max_nodes, trust)
        self._ground, self.diagram = self._compiler.rule()
        self.variables: tuple[Variable, ...] = self._ground.variables
        self.consulted = tuple(map(Path, self._ground.consulted))
        self.weights = FactWeights(self.program, self._ground.facts)
        self._answers = Answers(str(self.query.goal), self._ground, self.diagram)
        self.looks = Looks()
        self._reader = ArgumentReader(
            self.query,
            self._ground.arguments,
            self._answers,
            self._ground.open_tests,
            self._compiler.has_answer,
            self.looks,
        )
        starts = [parameter.start for parameter in self.program.parameters]
        self._analysis = Analysis(str(self.query.goal), self._ground, self.diagram, starts, self._compiler.limited)
        self._circuits = Circuits(self.diagram, self._ground, partial(self._compiler.ordered, self._ground))
        self._columns = Columns(str(self.query.goal), self._ground, self._reader, self.weights, self.looks)
        self._posterior = Posterior(self._ground, self._circuits)
        exact = engine == "exact"
        self._reference = None if exact else DeepProbLogRule(self._compiler, self.variables, self._reader)

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
        from gedi_nesy.html_table import html_table  # here: the engine alone needs none

        return html_table([("Query", self.query.goal), *symbols, *arguments, ("Size", f"{self.size} nodes")])

    @property
    def size(self) -> int:
        """Number of nodes of the decision diagram."""
        return self.diagram.size

    @property
    def answers(self) -> tuple[tuple[Value, ...], ...]:
        """The values of the arguments for which the rule is possible; one empty tuple without arguments.

        Raises:
            UserError: they are too many to list.
        """
        return tuple(map(self._reader.answer, self._answers.all()))

    def argument_values(self, name: str) -> list[tuple[Value, ...]]:
        """The values that the rule asks for of an argument: one tuple, or where it is a list one for each element."""
        return self._reader.values(name)

    def number_arguments(self, arguments: Mapping[str, Sequence[Value]]) -> Tensor | None:
        """The numbers of the arguments' values, which every method takes in the place of the values.

        Args:
            arguments: for each argument of the query its value in each example.

        Returns:
            int64 [batch, arguments] on the CPU, a list element by element: indices into `argument_values`, and one
            above them for all other values; where you put -1 instead, the argument may have any value that the rule
            asks for. None where the query has no arguments.

        Raises:
            UserError: an argument is missing or unknown, or a value is wrong.
        """
        return self._reader.read(arguments)

    def answer_of(self, numbers: Tensor) -> tuple[Value, ...]:
        """The value of each argument, from their numbers, int64 [arguments]; "another" where the rule asks for none
        such."""
        return self._reader.answer(numbers.tolist())

    def is_possible(self, numbers: Tensor) -> bool:
        """Whether some symbols satisfy the rule with the arguments that have these numbers, int64 [arguments]."""
        return tuple(numbers.tolist()) in self._answers

    def check_possible(self, answer: tuple[Value, ...]) -> None:
        """UserError if no symbols satisfy the rule with these values of its arguments."""
        self._reader.check_possible(answer)

    def log_prob(
        self,
        inputs: Mapping[Key, Tensor],
        arguments: Arguments | None = None,
        evidence: Evidence | None = None,
    ) -> Tensor:
        """log P(rule | images), conditioned on the program's evidence.

        Args:
            inputs: for each variable's key the log-probabilities of its domain, [batch, values].
            arguments: for each argument of the query its value in each example; 7 finds the answer 7.0, too (a
                rule that has both is refused), and 42 or "042" the list [0,4,2]. Or what `number_arguments` returns
                for them, on any device: quicker where the same examples come again.
            evidence: for goals about the query's images whether they are true, in all examples or in each; it is
                conditioned on, too. The first call with these goals compiles the rule with them.

        Returns:
            [batch] (of one example where the query reaches no image and has no arguments); differentiable, by
            torch.func too.
            -inf, with a warning and no gradient, where the rule is impossible.

        Raises:
            UserError: a key, shape or value is wrong, or the values are no log-probabilities.
        """
        if evidence:
            return self._observing(evidence).log_prob(inputs, with_evidence(arguments, evidence, inputs))
        self.looks.turn()
        columns, numbers = self._columns.read(inputs, arguments)
        if self._reference is None:
            result = self._circuits.get("sum", columns[0].device).log_prob(columns)
        else:
            rows = [()] * len(columns[0]) if numbers is None else list(map(tuple, numbers.tolist()))
            result = self._reference.log_prob(inputs, rows, self.weights.probabilities())
        self._warn_if_impossible(result)
        return result

    def forward(
        self,
        inputs: Mapping[Key, Tensor],
        arguments: Arguments | None = None,
        evidence: Evidence | None = None,
    ) -> Tensor:
        """`log_prob`, for where a module is called."""
        return self.log_prob(inputs, arguments, evidence)

    @torch.no_grad()
    def most_probable(
        self, inputs: Mapping[Key, Tensor], arguments: Arguments | None = None, evidence: Evidence | None = None
    ) -> tuple[dict[Key, Tensor], Tensor]:
        """The most probable symbols among those that satisfy the rule.

        Args:
            inputs: as for `log_prob`.
            arguments: as for `log_prob`.
            evidence: as for `log_prob`.

        Returns:
            For each key the index into its domain, [batch]; and log P(these symbols, rule | images), [batch].
        """
        if evidence:
            return self._observing(evidence).most_probable(inputs, with_evidence(arguments, evidence, inputs))
        columns, _ = self._columns.read(inputs, arguments)
        symbols, result = self._posterior.most_probable(columns)
        self._warn_if_impossible(result)
        return symbols, result

    @torch.no_grad()
    def posterior(
        self, inputs: Mapping[Key, Tensor], arguments: Arguments | None = None, evidence: Evidence | None = None
    ) -> dict[Key, Tensor]:
        """log P(symbol | rule holds, images) of each variable; not differentiable.

        Args:
            inputs: as for `log_prob`.
            arguments: as for `log_prob`.
            evidence: as for `log_prob`.

        Returns:
            For each key [batch, values]; -inf, with a warning, where the rule is impossible.
        """
        if evidence:
            return self._observing(evidence).posterior(inputs, with_evidence(arguments, evidence, inputs))
        columns, _ = self._columns.read(inputs, arguments)
        symbols, _ = self._posterior.log_marginals(columns)
        for marginal in list(symbols.values())[:1]:
            self._warn_if_impossible(marginal.amax(1))
        return symbols

    @torch.no_grad()
    def sample_posterior(
        self,
        inputs: Mapping[Key, Tensor],
        arguments: Arguments | None = None,
        evidence: Evidence | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> dict[Key, Tensor]:
        """Draw the symbols of each example from p(symbols | rule holds, images), jointly and exactly.

        Args:
            inputs: as for `log_prob`.
            arguments: as for `log_prob`.
            evidence: as for `log_prob`.
            generator: on the inputs' device.

        Returns:
            For each key indices into its domain, [batch]; any, with a warning, where the rule is impossible.
        """
        if evidence:
            given = with_evidence(arguments, evidence, inputs)
            return self._observing(evidence).sample_posterior(inputs, given, generator=generator)
        columns, _ = self._columns.read(inputs, arguments)
        symbols, value = self._posterior.sample(columns, generator)
        self._warn_if_impossible(value)
        return symbols

    @torch.no_grad()
    def answer_posterior(
        self,
        inputs: Mapping[Key, Tensor],
        arguments: Mapping[str, Sequence[Value]] | None = None,
        evidence: Evidence | None = None,
    ) -> dict[str, list[Tensor]]:
        """log P(value | rule holds, images) of each argument that is not given; not differentiable.

        Args:
            inputs: as for `log_prob`.
            arguments: values of some arguments, if any.
            evidence: as for `log_prob`.

        Returns:
            For each argument that is left open [batch, values], in a list: one, or where the argument is a list one
            for each element. The values are those of `argument_values`. -inf, with a warning, where the rule is
            impossible.
        """
        if evidence:
            given = with_evidence(arguments, evidence, inputs)
            return self._observing(evidence).answer_posterior(inputs, given)
        _, marginals = self._posterior.log_marginals(self._columns.read_open(inputs, arguments))
        self._warn_if_impossible(marginals[0].amax(1))
        by_name: dict[str, list[Tensor]] = {}
        for own, marginal in zip(self._ground.arguments, marginals, strict=True):
            if own.name not in (arguments or {}):
                by_name.setdefault(own.name, []).append(marginal[:, : len(own.domain)])
        return by_name

    @torch.no_grad()
    def most_probable_answer(
        self,
        inputs: Mapping[Key, Tensor],
        arguments: Mapping[str, Sequence[Value]] | None = None,
        evidence: Evidence | None = None,
    ) -> tuple[list[tuple[Value, ...]], Tensor]:
        """The most probable values of the arguments, each summed over all symbols that give them.

        Args:
            inputs: as for `log_prob`.
            arguments: values of some arguments, if any.
            evidence: as for `log_prob`.

        Returns:
            For each example a value of each argument; and log P(these values, rule | images), [batch].

        Raises:
            UserError: the answers are too many to be compared; `answer_posterior` tells about each element alone.
        """
        if evidence:
            given = with_evidence(arguments, evidence, inputs)
            answers, result = self._observing(evidence).most_probable_answer(inputs, given)
            return [answer[: len(self.arguments)] for answer in answers], result
        numbers, result = self._posterior.most_probable_answer(self._columns.read_open(inputs, arguments))
        self._warn_if_impossible(result)
        return [self._reader.answer(row) for row in numbers.tolist()], result

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
        numbers, values = self._analysis.distribution.sample(n, generator)
        drawn: dict[Key, Any] = {v.key: column for v, column in zip(self.variables, values, strict=True)}
        answers = map(self._reader.answer, numbers.t().tolist())
        return drawn | dict(zip(self.arguments, map(list, zip(*answers, strict=True)), strict=False))

    def diagnose(
        self,
        support: Mapping[Key, Any] | None = None,
        *,
        known: Mapping[str, Iterable[int]] | None = None,
        seconds: float = 10.0,
    ) -> ConceptMaps:
        """Which concept maps, renamings of each network's symbols, leave the rule as probable as it is on its support.

        Args:
            support: satisfying assignments in the form of `sample`, such as the symbols of the training examples; by
                default all of them.
            known: for a network symbols that no map changes, as where labels name them: indices into its domain.
            seconds: budget of CPU time; past it the counts are lower bounds and `.exact` is False.

        Raises:
            UserError: an assignment in the support does not satisfy the rule, or is none.
        """
        rows = None
        if support is not None:
            labels, arguments = read_support(support, self.variables, self.arguments)
            rows = self._analysis.rows_of(labels, self._reader.read(arguments))
            wrong = next((i for i, row in enumerate(rows) if not self._analysis.renamings.highest(*row)), None)
            if wrong is not None:
                raise UserError(f"assignment {wrong} of the support does not satisfy {self.query.goal}")
        fixed = {(network, symbol) for network, symbols in (known or {}).items() for symbol in symbols}
        return find_concept_maps(self._analysis.renamings, rows, seconds, fixed)

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
        columns, numbers = self._columns.read(log_probs, arguments)
        clusters = {v.key: column.argmax(1) for v, column in zip(self.variables, columns, strict=False)}
        rows = self._analysis.rows_of(clusters, numbers)
        if not rows:
            raise UserError("there are no images to name clusters by")
        return align(self._analysis.renamings, rows, seconds)

    def _observing(self, goals: Iterable[str]) -> "Constraint":
        """The same rule, with the same learnable probabilities, for examples that say whether these goals are true."""
        goals = tuple(goals)
        if goals not in self._with_evidence:
            names = [f"{name}:{n}" if (n := self.query.lengths.get(name)) else name for name in self.arguments]
            rule = Constraint(self.program.source, str(self.query.goal), names, evidence=goals, **self._options)
            rule.weights.logits = self.weights.logits
            self._with_evidence[goals] = rule
        return self._with_evidence[goals]

    def _warn_if_impossible(self, log_prob: Tensor) -> None:
        log_prob = log_prob.detach()
        if log_prob.shape[0]:
            self.looks.look(log_prob.min(), partial(self._judge_possible, log_prob))

    def _judge_possible(self, log_prob: Tensor, least: float) -> None:
        if least == -math.inf:
            rows = log_prob.isneginf().nonzero().flatten().tolist()
            warnings.warn(
                f"{self.query.goal} is impossible for {len(rows)} of {len(log_prob)} examples ({shortened(rows)}): "
                "log-probability -inf",
                stacklevel=5,
            )
