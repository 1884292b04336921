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
from gedi_nesy.nesy.grounding import GOAL, Engine, Key, Query, Variable, with_goal
from gedi_nesy.nesy.program import Declaration, Program, Value, is_compound, to_python, to_term


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
        program: the program; evidence, which DeepProbLog ignores, is refused.
        query: the goal.
        variables: its neural calls.
        trust: allow the program to load other files.
    """

    def __init__(self, program: Program, query: Query, variables: Sequence[Variable], trust: bool) -> None:
        if any(is_compound(statement, "evidence") for statement in program.source.statements):
            raise UserError(f"{program.source.name} has evidence, which DeepProbLog ignores: use our own engine")
        self.query, self.variables = query, variables
        self.rows: dict[Any, Tensor] = {}  # for each call the present example's probabilities, [values]
        given = [_Given(self.rows, declaration) for declaration in program.declarations]
        self.model = Model("", [Network(module, f"net{i}") for i, module in enumerate(given)], load=False)
        self.model.program = with_goal(program, query)
        engine = ExactEngine(self.model)
        engine.engine = Engine(program.source, trust)
        with redirect_stdout(StringIO()):  # DeepProbLog announces its cache
            self.model.set_engine(engine, cache=True)
        self.model.get_tensor = lambda term: term  # the networks want their inputs' names

    def log_prob(
        self,
        inputs: Mapping[Key, Tensor],
        arguments: Mapping[str, Sequence[Value]],
        parameters: Sequence[float],
        batch: int,
    ) -> Tensor:
        """log P(rule), [batch]; differentiable with respect to the inputs.

        Args:
            inputs: log-probabilities, [batch, values].
            arguments: values of the query's arguments.
            parameters: the learnable probabilities, which are constants here.
            batch: number of examples.
        """
        probabilities = {(v.network, v.inputs): inputs[v.key].exp() for v in self.variables}
        self.model.parameters = list(parameters)
        results = []
        for i in range(batch):
            self.rows.update({call: rows[i] for call, rows in probabilities.items()})
            terms = [to_term(arguments[name][i]) if name in arguments else Term(name) for name in self.query.names]
            images = {Term(name): Term("tensor", Term(name)) for name in self.query.images}
            (answer,) = self.model.solve([SolverQuery(Term(GOAL, *terms), images)])
            results.append(torch.as_tensor(next(iter(answer.result.values()), 0.0)))
        return torch.stack(results).log()
