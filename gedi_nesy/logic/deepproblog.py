"""Our networks and rules in DeepProbLog: a Model for its own solver, and the reference of our engine."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from deepproblog.engines import ExactEngine
from deepproblog.model import Model
from deepproblog.network import Network
from deepproblog.query import Query
from problog.engine import NonGroundProbabilisticClause
from problog.logic import Term, list2term
from torch import Tensor, nn

from gedi_nesy.errors import UserError
from gedi_nesy.logic.arguments import ArgumentReader
from gedi_nesy.logic.compile import Compiler
from gedi_nesy.logic.ground import Key, Value, Variable
from gedi_nesy.logic.grounder import GOAL, Engine, with_goal
from gedi_nesy.logic.program import Declaration, Program, Source, is_compound, read_source, to_python
from gedi_nesy.logic.query import parse_goal
from gedi_nesy.logic.time_limit import in_budget


class Probabilities(nn.Module):
    """A network of logits, as DeepProbLog wants it: returning probabilities, of as many values as the program names.

    Args:
        network: inputs [batch, ...] to logits [batch, values].
        declaration: its neural predicate; for a fact only the probability of True is returned, [batch, 1].
    """

    def __init__(self, network: nn.Module, declaration: Declaration) -> None:
        super().__init__()
        self.network, self.declaration = network, declaration

    def forward(self, *inputs: Any) -> Tensor:
        """Probabilities, [batch, values]."""
        device = next((parameter.device for parameter in self.network.parameters()), torch.device("cpu"))
        logits = self.network(*(x.to(device) if isinstance(x, Tensor) else x for x in inputs))
        name, values = self.declaration.network, len(self.declaration.domain)
        if logits.shape[-1] != values:
            raise UserError(f"network {name} has {logits.shape[-1]} outputs, but the program names {values} values")
        probabilities = logits.softmax(-1)
        return probabilities[..., 1:] if self.declaration.fact else probabilities


class _TensorSource:
    """What `tensor(name(i))` stands for, indexed as DeepProbLog does: by the tuple of the term's arguments."""

    def __init__(self, name: str, tensors: Any) -> None:
        self.name, self.tensors = name, tensors

    def __getitem__(self, arguments: tuple[Term, ...]) -> Tensor:
        index = tuple(to_python(argument) for argument in arguments)
        try:
            if not isinstance(self.tensors, Mapping) and any(isinstance(i, int) and i < 0 for i in index):
                raise IndexError  # a sequence would count from its end
            return self.tensors[index[0] if len(index) == 1 else index]
        except (KeyError, IndexError):
            found = f"{len(self.tensors)} tensors" if hasattr(self.tensors, "__len__") else "no such tensor"
            raise UserError(f"{self.name} has no {', '.join(map(str, index))}: it has {found}") from None


class _Model(Model):
    """DeepProbLog's model of a program that our parser has read."""

    def __init__(self, source: Source, networks: Sequence[Network]) -> None:
        super().__init__("", networks, load=False)
        self.program = source.parsed
        self._extract_parameters()


def deepproblog_model(
    program: str | Path | Source,
    networks: Mapping[str, nn.Module],
    sources: Mapping[str, Mapping[Any, Tensor] | Sequence[Tensor] | Tensor] | None = None,
    trust: bool = False,
) -> Model:
    """A DeepProbLog model with these networks registered and its exact engine set.

    Args:
        program: a path, the name of one of our programs, a program's text, or the program itself.
        networks: for each network of the program a module that returns logits, [batch, values]; for
            `nn(net,[X]) :: p(X)` the logits of (False, True).
        sources: what `tensor(name(i))` in a goal stands for: `sources[name][i]`.
        trust: allow the program to import Python and to consult files outside its folder.

    Returns:
        The model; `model.solve([Query(...)])` is DeepProbLog's own solver.

    Raises:
        UserError: the program has an error, a network that was not given, or evidence, which DeepProbLog ignores.
    """
    source = program if isinstance(program, Source) else read_source(program)
    wrapped = [Network(module, name, batching=True) for name, module in _wrap(source, networks).items()]
    model = _Model(source, wrapped)
    engine = ExactEngine(model)
    engine.engine = Engine(source, trust)
    with engine.engine.errors_named(source.name):
        model.set_engine(engine)
    for name, tensors in (sources or {}).items():
        model.add_tensor_source(name, _TensorSource(name, tensors))
    return model


def _refuse_evidence(source: Source, given: Collection[str] = ()) -> None:
    if given or any(is_compound(statement, "evidence") for statement in source.statements):
        raise UserError(
            f"{source.name} has evidence, which DeepProbLog ignores: ask a Constraint with the engine exact, which "
            "conditions on it"
        )


def _wrap(source: Source, networks: Mapping[str, nn.Module]) -> dict[str, Probabilities]:
    _refuse_evidence(source)
    declared: dict[str, Declaration] = {}
    for declaration in Program(source).declarations:
        name = declaration.network
        if name not in networks:
            raise UserError(f"{declaration.place}: there is no network {name}, only {', '.join(networks) or 'none'}")
        first = declared.setdefault(name, declaration)
        if (first.domain, first.fact) != (declaration.domain, declaration.fact):
            raise UserError(f"{declaration.place}: network {name} is declared twice, with different values")
    return {name: Probabilities(networks[name], declaration) for name, declaration in declared.items()}


@torch.no_grad()
def query(model: Model, goal: str, seconds: float = 30.0) -> dict[str, float]:
    """Answer a goal, such as "addition(tensor(test(0)),tensor(test(1)),S)", with DeepProbLog's own solver.

    It is grounded and compiled twice, first in a child process, to see that it ends.

    Args:
        model: what `deepproblog_model` returns.
        goal: with or without a full stop.
        seconds: budget for grounding and compiling.

    Returns:
        The probability of each answer, a term as text; of the goal itself, 0, where there is none.

    Raises:
        UserError: the goal has an error, names a predicate, a tensor source or a tensor that is not there, or the
            budget was not enough.
    """
    term = parse_goal(goal)
    for name in _source_names(term):
        if name not in model.tensor_sources:
            raise UserError(f"{goal}: there are no tensors {name}, only {', '.join(model.tensor_sources) or 'none'}")
    _check_that_it_ends(model, Query(term), goal, seconds)
    try:
        with model.solver.engine.engine.errors_named(goal, (NonGroundProbabilisticClause,)):
            result = model.solve([Query(term)])[0].result
    except NonGroundProbabilisticClause as error:
        mend = "where an image is open, name one, as tensor(test(0))"
        raise UserError(f"{goal}: {str(error).rstrip('.')}; {mend}") from None
    return {str(answer): float(probability) for answer, probability in result.items()} or {str(term): 0.0}


def _check_that_it_ends(model: Model, query: Query, name: str, seconds: float) -> None:
    """Compile a query in a child process, where that can be stopped; errors of other kinds come again.

    Args:
        model: as for `query`.
        query: with the tensors that its images stand for.
        name: what errors call the query.
        seconds: the budget.

    Raises:
        UserError: it takes more time or memory than there is.
    """

    def compile_goal() -> None:
        try:
            model.solver.build_ac(query)
        except MemoryError:
            raise
        except Exception:  # it comes again, and is named then
            return

    mend = "ask about fewer images or values, or let the recursion end"
    in_budget(compile_goal, seconds, f"{name}, grounded and compiled by DeepProbLog,", mend)


def _source_names(term: Any) -> set[str]:
    if not isinstance(term, Term):
        return set()
    if is_compound(term, "tensor"):
        return {str(term.args[0].functor)}
    return set().union(*(_source_names(argument) for argument in term.args))


class _Given(nn.Module):
    """A network whose outputs are given: it finds them by its inputs' names."""

    def __init__(self, rows: Mapping[Any, Tensor], declaration: Declaration) -> None:
        super().__init__()
        self.rows, self.declaration = rows, declaration

    def forward(self, *inputs: Term) -> Tensor:
        probabilities = self.rows[self.declaration.network, tuple(to_python(term) for term in inputs)]
        return probabilities[1:] if self.declaration.fact else probabilities


class DeepProbLogRule:
    """A rule in DeepProbLog's own solver, which takes one example after the other: slow, and the reference.

    Args:
        compiler: for its program and query; evidence, which DeepProbLog ignores, is refused.
        variables: the rule's neural calls.
        reader: of the query's arguments.
    """

    def __init__(self, compiler: Compiler, variables: Sequence[Variable], reader: ArgumentReader) -> None:
        program, self.query = compiler.program, compiler.query
        self.variables, self.reader = variables, reader
        _refuse_evidence(program.source, self.query.evidence)
        self.terms = compiler.argument_terms()
        self.seconds = compiler.seconds
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
        self, inputs: Mapping[Key, Tensor], numbers: Sequence[tuple[int, ...]], parameters: Sequence[float]
    ) -> Tensor:
        """log P(rule), [batch]; differentiable with respect to the inputs.

        Args:
            inputs: log-probabilities, [batch, values].
            numbers: for each example the numbers of its arguments' values.
            parameters: the learnable probabilities, which are constants here.

        Raises:
            UserError: an argument has a value that the rule does not ask for.
        """
        probabilities = {(v.network, v.inputs): inputs[v.key].exp() for v in self.variables}
        self.model.parameters = list(parameters)
        results = []
        for i, answer in enumerate(list(map(self._known_answer, numbers))):
            self.rows.update({call: rows[i] for call, rows in probabilities.items()})
            results.append(self._probability(answer))
        return torch.stack(results).log()

    def _known_answer(self, numbers: tuple[int, ...]) -> tuple[Value, ...] | None:
        """The answer with these numbers; None where the rule is impossible for it."""
        if numbers not in self.reader.answers:
            return None
        if any(number == len(own.domain) for number, own in zip(numbers, self.reader.variables, strict=True)):
            raise UserError("the engine deepproblog takes only values of arguments that the rule asks for: use exact")
        return self.reader.answer(numbers)

    def _probability(self, answer: tuple[Value, ...] | None) -> Tensor:
        """P(rule) of one example, whose networks' outputs are in `rows`."""
        if answer is None:
            return torch.tensor(0.0)
        images = {Term(name): Term("tensor", Term(name)) for name in self.query.images}
        names = {image: name for name, image in images.items()}  # DeepProbLog puts the images in itself
        terms = iter(self.terms)
        given = {}
        for name, value in zip(self.query.arguments, answer, strict=True):
            own = next(terms)
            if value in own:
                given[name] = own[value].apply_term(names)
            else:  # a list, element by element
                given[name] = list2term([own[value[0]], *(next(terms)[element] for element in value[1:])])
        goal = Term(GOAL, *(given.get(name, Term(name)) for name in self.query.names))
        query = Query(goal, images)
        if answer not in self.compiled:
            _check_that_it_ends(self.model, query, str(self.query.given(answer)), self.seconds)
            self.compiled.add(answer)
        (solved,) = self.model.solve([query])
        (probability,) = solved.result.values()
        return torch.as_tensor(probability)
