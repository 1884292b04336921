"""A constraint's log-probability by DeepProbLog's own solver, one example after the other: slow, and the reference."""

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import torch
from deepproblog.engines import ExactEngine
from deepproblog.model import Model
from deepproblog.network import Network
from deepproblog.query import Query as SolverQuery
from problog.logic import Term
from torch import Tensor, nn

from gedi_nesy.errors import UserError
from gedi_nesy.logic.compile import Compiler
from gedi_nesy.logic.deepproblog import check_that_it_ends
from gedi_nesy.logic.ground import Key, Value, Variable
from gedi_nesy.logic.grounder import GOAL, Engine, with_goal
from gedi_nesy.logic.program import Declaration, is_compound, to_python


class _Given(nn.Module):
    """A network whose outputs are given: it finds them by its inputs' names."""

    def __init__(self, rows: Mapping[Any, Tensor], declaration: Declaration) -> None:
        super().__init__()
        self.rows, self.declaration = rows, declaration

    def forward(self, *inputs: Term) -> Tensor:
        probabilities = self.rows[self.declaration.network, tuple(to_python(term) for term in inputs)]
        return probabilities[1:] if self.declaration.fact else probabilities


class Reference:
    """The same rule in DeepProbLog.

    Args:
        compiler: for its program and query; evidence, which DeepProbLog ignores, is refused.
        variables: the rule's neural calls.
    """

    def __init__(self, compiler: Compiler, variables: Sequence[Variable]) -> None:
        program, self.query, self.variables = compiler.program, compiler.query, variables
        if any(is_compound(statement, "evidence") for statement in program.source.statements):
            raise UserError(f"{program.source.name} has evidence, which DeepProbLog ignores: use our own engine")
        self.seconds = compiler.seconds
        self.terms = compiler.answer_terms()
        self.rows: dict[Any, Tensor] = {}  # for each call the present example's probabilities, [values]
        self.compiled: set[tuple[Value, ...]] = set()  # answers that DeepProbLog's own cache holds
        given = [_Given(self.rows, declaration) for declaration in program.declarations]
        self.model = Model("", [Network(module, f"net{i}") for i, module in enumerate(given)], load=False)
        self.model.program = with_goal(program, self.query)
        engine = ExactEngine(self.model)
        engine.engine = Engine(program.source, compiler.trust)
        with redirect_stdout(StringIO()):  # DeepProbLog announces its cache
            self.model.set_engine(engine, cache=True)
        self.model.get_tensor = lambda term: term  # the networks want their inputs' names

    def log_prob(
        self, inputs: Mapping[Key, Tensor], answers: Sequence[tuple[Value, ...] | None], parameters: Sequence[float]
    ) -> Tensor:
        """log P(rule), [batch]; differentiable with respect to the inputs.

        Args:
            inputs: log-probabilities, [batch, values].
            answers: for each example the values of the query's arguments; None where it has no such answer.
            parameters: the learnable probabilities, which are constants here.
        """
        probabilities = {(v.network, v.inputs): inputs[v.key].exp() for v in self.variables}
        self.model.parameters = list(parameters)
        results = []
        for i, answer in enumerate(answers):
            self.rows.update({call: rows[i] for call, rows in probabilities.items()})
            results.append(self._probability(answer))
        return torch.stack(results).log()

    def _probability(self, answer: tuple[Value, ...] | None) -> Tensor:
        """P(rule) of one example, whose networks' outputs are in `rows`."""
        if answer is None:
            return torch.tensor(0.0)
        images = {Term(name): Term("tensor", Term(name)) for name in self.query.images}
        names = {image: name for name, image in images.items()}  # DeepProbLog puts the images in itself
        given = {
            name: term.apply_term(names) for name, term in zip(self.query.arguments, self.terms[answer], strict=True)
        }
        goal = Term(GOAL, *(given.get(name, Term(name)) for name in self.query.names))
        query = SolverQuery(goal, images)
        if answer not in self.compiled:
            check_that_it_ends(self.model, query, self.query.given(answer), self.seconds)
            self.compiled.add(answer)
        (solved,) = self.model.solve([query])
        (probability,) = solved.result.values()
        return torch.as_tensor(probability)
