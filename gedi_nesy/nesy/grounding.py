"""Ground a program for a query, through DeepProbLog's exact engine, with one placeholder an image."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepproblog.engines import ExactEngine
from deepproblog.model import Model
from deepproblog.network import Network
from problog.clausedb import ClauseDB
from problog.engine import DefaultEngine, NonGroundProbabilisticClause, UnknownClause
from problog.engine_builtin import CallModeError
from problog.engine_unify import instantiate
from problog.errors import GroundingError, NonGroundQuery, ProbLogError
from problog.formula import LogicFormula
from problog.logic import Clause, Term, Var, is_list, term2list
from problog.program import LogicProgram, SimpleProgram

from gedi_nesy.errors import UserError
from gedi_nesy.nesy.budget import TimeIsUp, time_limit
from gedi_nesy.nesy.builtins import Formula, add_builtins
from gedi_nesy.nesy.database import Database
from gedi_nesy.nesy.predicates import calling_each_other, did_you_mean
from gedi_nesy.nesy.program import Program, Source, Value, is_compound, read_probability, to_python, to_term
from gedi_nesy.nesy.sublists import ground_possible_lists

GIVEN = "given"  # label of an answer's goal, grounded with the answer's values
GOAL = "gedi_nesy_goal"  # the query is wrapped in a rule of this name; its arguments are the query's variables
CHECKED = 8  # answers that are grounded once more, with the arguments given
OPEN_TESTS = {  # what may answer otherwise while a variable is open
    *("\\+", "not/1", "\\=/2", "==/2", "\\==/2", "@</2", "@>/2", "@=</2", "@>=/2", "compare/3", "copy_term/2"),
    *("var/1", "nonvar/1", "ground/1", "atom/1", "atomic/1", "number/1", "integer/1", "float/1", "compound/1"),
    *("is_list/1", "findall/3", "all/3", "all_or_none/3", "forall/2", "cut/1", "try_call/1", "once/1"),
}
# with how to mend them
EXPLAINED = (CallModeError, NonGroundProbabilisticClause, UnknownClause, NonGroundQuery, RecursionError)
CONTROL = ("'->'/2", "'!'/0", "->/2", "!/0", "'*->'/2", "*->/2")  # of Prolog, which ProbLog lacks

Key = Any  # an image's name, or (network, name), or (network, *inputs)


@dataclass(frozen=True)
class Variable:
    """One neural call of the rule: a categorical variable that the images decide.

    Attributes:
        key: the image's name; (network, name) where one image meets two networks; (network, *inputs) where a call
            has several inputs, or a symbol as its input.
        network: name of the network, as in `nn(network, ...)`.
        inputs: the call's inputs; images by their name in the query, symbols by their value.
        domain: the values, in the order of the network's outputs; (False, True) for `nn(net,[X]) :: p(X)`.
    """

    key: Key
    network: str
    inputs: tuple[Value, ...]
    domain: tuple[Value, ...]


@dataclass(frozen=True)
class Fact:
    """A probabilistic fact or annotated disjunction of the ground program: a random variable of the rule itself.

    Attributes:
        weights: for each value a probability (float), or the index of a learnable parameter (int).
        exhaustive: the values are all there is; otherwise one more value, "none of them", has the rest.
    """

    weights: tuple[float | int, ...]
    exhaustive: bool

    @property
    def size(self) -> int:
        """Number of values, "none of them" included."""
        return len(self.weights) + (not self.exhaustive)

    def start_weights(self, parameters: Sequence[float]) -> list[float]:
        """The probability of each value, of learnable ones where they start."""
        weights = [parameters[weight] if isinstance(weight, int) else weight for weight in self.weights]
        return weights if self.exhaustive else [*weights, max(0.0, 1 - sum(weights))]


@dataclass(frozen=True)
class GroundProgram:
    """A propositional formula over categorical variables: first the neural ones, then the facts.

    `nodes[i]` is node i + 1: ("literal", variable, value), ("and", children) or ("or", children). A child is a
    node's number, negated where the node is, 0 for true, None for false. Positive cycles are possible. `consulted` are
    the files that the program loaded, ProbLog's own left out. `open_tests` are the predicates whose outcome may depend
    on the query's arguments being open; then `given` has the roots of some answers, grounded open and given.
    """

    variables: tuple[Variable, ...]
    facts: tuple[Fact, ...]
    nodes: tuple[tuple[Any, ...], ...]
    answers: dict[tuple[Value, ...], int]
    evidence: tuple[int | None, ...]
    consulted: tuple[str, ...]
    open_tests: tuple[str, ...] = ()
    given: tuple[tuple[int | None, int | None], ...] = ()

    @property
    def sizes(self) -> list[int]:
        """Number of values of each variable."""
        return [len(variable.domain) for variable in self.variables] + [fact.size for fact in self.facts]

    def never(self, variable: int, value: int) -> bool:
        """Whether a fact's value has probability 0."""
        if variable < len(self.variables):
            return False
        weights = self.facts[variable - len(self.variables)].weights
        return value < len(weights) and isinstance(weights[value], float) and weights[value] == 0


class Engine(DefaultEngine):
    """ProbLog's grounder, told where the program's text lies.

    ProbLog's subquery/2 makes a further one, without arguments, for the database that is there.
    """

    def __init__(self, source: Source | None = None, trusted: bool = False) -> None:
        super().__init__()
        self.source, self.trusted = source, trusted
        self.calls: Counter[str] = Counter()  # how often each predicate was called
        self.location: Any = None  # of the latest call
        self.database: Any = None

    def load_builtins(self) -> None:
        """ProbLog's built-in predicates, ours in the place of some."""
        super().load_builtins()
        add_builtins(self)

    def eval_call(self, node_id: Any, node: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a predicate, and count it."""
        functor = str(node.functor).strip("'")
        self.calls[f"{functor}/{len(node.args)}"] += 1
        self.location = node.location
        return super().eval_call(node_id, node, *args, **kwargs)

    def ground(
        self, db: LogicProgram, term: Term, target: Any = None, label: Any = None, **kwargs: Any
    ) -> LogicFormula:
        """Ground a goal, by default into a formula of our own."""
        return super().ground(db, term, Formula() if target is None else target, label, **kwargs)

    def eval_neg(self, **kwargs: Any) -> Any:
        """Negate, and count it."""
        self.calls["\\+"] += 1
        return super().eval_neg(**kwargs)

    def open_tests(self) -> tuple[str, ...]:
        """The predicates called so far that may answer otherwise where a variable is open."""
        return tuple(sorted(OPEN_TESTS & self.calls.keys()))

    @contextmanager
    def errors_named(self, name: str, explained: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Let whatever ProbLog raises, but for what its caller explains, be one sentence about this."""
        try:
            yield
        except (UserError, *explained):  # type: ignore[misc]
            raise
        except ProbLogError as error:
            raise UserError(f"{name}: {str(error).rstrip('.')}") from None
        except RecursionError:
            raise UserError(f"{name} recurses too deeply; does it ever end?") from None
        except Exception as error:  # of a built-in predicate, or a trusted file of Python
            failed = GroundingError("ProbLog fails", self.database.lineno(self.location) if self.location else None)
            raise UserError(f"{name}: {str(failed).rstrip('.')}: {error!r}; write this goal otherwise") from error

    def prepare(self, db: LogicProgram) -> ClauseDB:
        """The program as a guarded database."""
        if isinstance(db, ClauseDB) or self.source is None:
            return db
        self.database = Database(self.source, self.trusted, self.get_builtins())
        self.database.engine = self
        self.database.add_all(db)
        self._process_directives(self.database)
        return self.database


class Query:
    """The goal of a constraint: its variables, in order, each an image or an argument."""

    def __init__(self, program: Program, text: str | None, arguments: Sequence[str]) -> None:
        self.goal = parse_goal(text) if text is not None else _goal_of(program.source)
        self.names = tuple(dict.fromkeys(_variable_names(self.goal)))
        self.arguments = (arguments,) if isinstance(arguments, str) else tuple(arguments)
        self.images = tuple(name for name in self.names if name not in self.arguments)
        if "_" in self.names:
            raise UserError(f"the query {self.goal} has a nameless variable: name it, as an image or in arguments=")
        for name in self.arguments:
            if name not in self.names:
                raise UserError(f"argument {name} is no variable of the query {self.goal}")

    def given(self, answer: Sequence[Value]) -> Term:
        """The goal with these values for its arguments."""
        values = dict(zip(self.arguments, map(to_term, answer), strict=True))
        return self.goal.apply({name: values.get(name, Var(name)) for name in self.names})


def parse_goal(text: str, name: str = "the query") -> Term:
    """A goal, or another term, from its text.

    Args:
        text: with or without a full stop.
        name: what errors call it.

    Raises:
        UserError: a syntax error, or more than a goal.
    """
    statements = Source(text.rstrip().removesuffix(".") + ".", name, Path()).statements
    if len(statements) != 1 or isinstance(statements[0], Clause):
        raise UserError(f"{name} must be one goal, such as addition(X,Y,Z), not {text}")
    _forget_place(statements[0])
    return statements[0]


def _forget_place(term: Any) -> None:
    """ProbLog would take a place in the query's text for one in the program."""
    if isinstance(term, Term):
        term.location = None
        for argument in term.args:
            _forget_place(argument)


def _goal_of(source: Source) -> Term:
    goals = {str(s.args[0]): s.args[0] for s in source.statements if is_compound(s, "query") and s.arity == 1}
    if len(goals) != 1:
        found = f"{len(goals)} queries ({', '.join(goals)})" if goals else "no query/1 without a body"
        raise UserError(
            f"{source.name} has {found}: say which goal to use, such as query='addition(X,Y,Z)', or --query"
        )
    return next(iter(goals.values()))


def _variable_names(term: Any) -> Iterator[str]:
    if isinstance(term, Var):
        yield str(term)
    elif isinstance(term, Term):
        for argument in term.args:
            yield from _variable_names(argument)


def ground(program: Program, query: Query, seconds: float, trust: bool = False) -> GroundProgram:
    """Ground the query: an image in each of its variables, the arguments left open.

    Args:
        program: the program.
        query: the goal.
        seconds: the time it may take.
        trust: allow the program to import Python and to consult files outside its folder.

    Raises:
        UserError: the program or the query is wrong, or the time was not enough.
    """
    reading = _grounded(program, query, seconds, trust)
    reading.check_images()
    return reading.result()


def ground_given(program: Program, query: Query, answer: Sequence[Value], seconds: float, trust: bool) -> GroundProgram:
    """Ground the query with values for its arguments; see `ground`."""
    return _grounded(program, Query(program, str(query.given(answer)), ()), seconds, trust).result()


def answer_terms(
    program: Program, query: Query, seconds: float, trust: bool
) -> dict[tuple[Value, ...], tuple[Term, ...]]:
    """For each answer, the values of the arguments, the same as terms in ProbLog; see `ground`."""
    return {answer: terms for answer, (terms, _) in _grounded(program, query, seconds, trust).answers().items()}


def _grounded(program: Program, query: Query, seconds: float, trust: bool) -> "_Reading":
    formula, engine = Formula(), Engine(program.source, trust)
    try:
        with time_limit(seconds), engine.errors_named(program.source.name, EXPLAINED):
            _fill(formula, engine, program, query)
    except TimeIsUp:
        raise UserError(_out_of_time(formula, engine, query, seconds) + _circle(program)) from None
    except CallModeError as error:
        opened = (
            f"; {', '.join(query.arguments)} is open while grounding: let the rule produce it, as by between(0,9,N)"
        )
        raise UserError(f"{program.source.name}: {str(error).rstrip('.')}{opened * bool(query.arguments)}") from None
    except NonGroundProbabilisticClause as error:
        mend = "what a network reads, or a probability is of, must be known when it is reached"
        argument = f"; what a network reads is no argument ({', '.join(query.arguments)})" * bool(query.arguments)
        raise UserError(f"{program.source.name}: {str(error).rstrip('.')}: {mend}{argument}") from None
    except UnknownClause as error:
        control = "; ProbLog has no cut and no if-then-else: write a clause for each case, with \\+ for the other"
        missing = control if error.signature in CONTROL else did_you_mean(error.signature, program)
        raise UserError(f"{program.source.name}: {str(error).rstrip('.')}{missing}") from None
    except NonGroundQuery:
        raise UserError(f"{program.source.name}: an answer to {query.goal} leaves a variable open") from None
    except RecursionError:
        circle = _circle(program)
        raise UserError(f"{program.source.name}: {query.goal} recurses too deeply; does it ever end?{circle}") from None
    return _Reading(program, query, formula, engine)


def with_goal(program: Program, query: Query) -> SimpleProgram:
    """The program's statements, and the query as a rule for GOAL."""
    statements = SimpleProgram()
    for statement in program.statements:
        statements.add_statement(statement)
    statements.add_statement(Clause(Term(GOAL, *(Var(name) for name in query.names)), query.goal))
    return statements


def _fill(formula: LogicFormula, engine: Engine, program: Program, query: Query) -> None:
    """Ground the query and the program's evidence into the formula."""
    statements = with_goal(program, query)
    ground_possible_lists(engine, [len(declaration.domain) for declaration in program.declarations])
    exact = ExactEngine(Model("", [Network(None, f"net{i}") for i in range(len(program.declarations))], load=False))
    exact.engine = engine
    database = exact.prepare(statements)
    arguments = [Term("tensor", Term(name)) if name in query.images else None for name in query.names]
    engine.ground(database, Term(GOAL, *arguments), formula, label=LogicFormula.LABEL_QUERY)
    if query.arguments and engine.open_tests():
        found = [name for name, node in formula.queries() if node is not None and name.is_ground()]
        for name in found[:: len(found) // CHECKED + 1]:
            del formula._cache  # or it would look up what it found while the arguments were open
            engine.ground(database, name, formula, label=GIVEN)
    engine.ground_evidence(database, formula, _evidence(engine, database))


def _evidence(engine: Engine, database: Database) -> list[tuple[Term, ...]]:
    """The arguments of each evidence/1 and evidence/2.

    Raises:
        GroundingError: it depends on chance, or its truth value is none.
    """
    found = []
    patterns = (Term("evidence", None, None), Term("evidence", None))
    for pattern in (pattern for pattern in patterns if database.find(pattern) is not None):
        for evidence, node in engine.ground(database, pattern, label=GIVEN).get_names(GIVEN):
            place = database.lineno(getattr(evidence.args[0], "location", None))
            if node is None:
                continue
            if node != LogicFormula.TRUE:
                raise GroundingError(f"{evidence} depends on chance: evidence is given, or it is not", place)
            if [str(value) for value in evidence.args[1:]] not in ([], ["true"], ["false"]):
                raise GroundingError(f"{evidence} has no truth value: write true or false", place)
            found.append(evidence.args)
    return found


def _circle(program: Program) -> str:
    """Names the predicates that call each other, where recursion may have no end."""
    groups = [" and ".join(group) for group in calling_each_other(program)]
    return f"; note that {' and that '.join(groups)} call each other" if groups else ""


def _out_of_time(formula: LogicFormula, engine: Engine, query: Query, seconds: float) -> str:
    calls = [(name, n) for name, n in engine.calls.most_common() if not name.startswith(("_", GOAL))]
    busiest = ", ".join(f"{name} {count:,} times" for name, count in calls[:3])
    return (
        f"{query.goal} was not grounded within its budget of {seconds:g} s: {len(formula):,} ground nodes so far, "
        f"after calling {busiest}; if the recursion does end, the rule enumerates whole numbers or assignments, whose "
        "number multiplies: write it one step at a time, as programs/addition_multi.pl adds digit by digit with a "
        "carry, or raise the budget"
    )


class _Reading:
    """Reads ProbLog's ground formula: its atoms become values of categorical variables."""

    def __init__(self, program: Program, query: Query, formula: LogicFormula, engine: Engine) -> None:
        self.program, self.query, self.formula, self.engine = program, query, formula, engine
        self.calls: dict[Any, tuple[int, tuple[Value, ...]]] = {}  # ground choice -> declaration, inputs
        self.facts: dict[Any, dict[int, float | int]] = {}  # ground choice -> weight of each value
        self.literals: dict[int, tuple[Any, int]] = {}  # node -> ground choice, value
        for index, node, kind in formula:
            if kind == "atom" and not node.is_extra:
                self._read_atom(index, node)

    def _read_atom(self, index: int, atom: Any) -> None:
        choice = ("fact", atom.identifier) if atom.group is None else atom.group
        value = 0 if atom.group is None else atom.identifier[2]
        weight = atom.probability
        if is_compound(weight, "nn"):
            self.calls[choice] = self._read_call(weight)
            value = 1 if weight.arity == 2 else value  # p(X) is the second of (False, True)
        elif is_compound(weight, "t"):
            self.facts[choice] = dict(enumerate(self.program.groups[self.program.group_of[int(weight.args[0])]]))
        else:
            self.facts.setdefault(choice, {})[value] = read_probability(weight, self.program.source.name)
        self.literals[index] = (choice, value)

    def _read_call(self, annotation: Term) -> tuple[int, tuple[Value, ...]]:
        if not is_list(annotation.args[1]):
            raise UserError(f"the inputs of a neural predicate must be a list, not {annotation.args[1]}")
        return int(str(annotation.args[0])[3:]), tuple(to_python(term) for term in term2list(annotation.args[1], False))

    def result(self) -> GroundProgram:
        """The ground program, its neural variables in the order of the query's images."""
        variables = self._variables()
        facts, values = self._facts()
        number = {choice: i for i, choice in enumerate([*variables, *facts])}
        nodes: list[tuple[Any, ...]] = []
        for index, node, kind in self.formula:
            if kind == "atom":
                choice, value = self.literals.get(index, (None, 0))  # "none of them" occurs in no formula
                known = values.get(choice)
                nodes.append(("literal", number.get(choice), known[value] if known is not None else value))
            else:
                nodes.append(("and" if kind == "conj" else "or", node.children))
        answers = {answer: node for answer, (_, node) in self.answers().items()}
        evidence = tuple(node for _, node in self.formula.evidence())
        found = dict(self.formula.queries())
        return GroundProgram(
            tuple(variables.values()),
            tuple(facts.values()),
            tuple(nodes),
            answers,
            evidence,
            tuple(map(str, self.engine.database.consulted)),
            self.engine.open_tests() if self.query.arguments else (),
            tuple((found[name], node) for name, node in self.formula.get_names(GIVEN)),
        )

    def check_images(self) -> None:
        """Raise a UserError where no network reads an image of the query."""
        reached = {image for _, inputs in self.calls.values() for image in _images_in(inputs, self.query.images)}
        others = [image for image in self.query.images if image not in reached]
        if others:
            raise UserError(
                f"in {self.query.goal} no network is called with {', '.join(others)}: a variable of the query is an "
                f"image that a network reads, or a value that differs by example and is named in arguments=, "
                f"such as arguments=({others[-1]!r},), or --argument {others[-1]}"
            )

    def _variables(self) -> dict[Any, Variable]:
        networks_of: dict[str, set[str]] = {image: set() for image in self.query.images}
        for number, inputs in self.calls.values():
            for image in _images_in(inputs, self.query.images):
                networks_of[image].add(self.program.declarations[number].network)
        variables: dict[Any, Variable] = {}
        places: dict[Any, str] = {}
        for choice, (number, inputs) in self.calls.items():
            declaration = self.program.declarations[number]
            key: Key = (declaration.network, *inputs)
            if len(inputs) == 1 and len(networks_of.get(inputs[0], ())) == 1:
                key = inputs[0]
            if key in places:
                raise UserError(
                    f"network {declaration.network} reads {', '.join(map(str, inputs))} twice, at {places[key]} and at "
                    f"{declaration.place}, and ProbLog takes that for two independent draws: declare it once, with no "
                    "further variable in its head or body, and derive the other predicate from it"
                )
            places[key] = declaration.place
            variables[choice] = Variable(key, declaration.network, inputs, declaration.domain)
        rank = {image: i for i, image in enumerate(self.query.images)}

        def order(item: tuple[Any, Variable]) -> list[int]:
            return [rank[image] for image in _images_in(item[1].inputs, self.query.images)] or [len(rank)]

        return dict(sorted(variables.items(), key=order))

    def _facts(self) -> tuple[dict[Any, Fact], dict[Any, dict[int, int]]]:
        """The facts, and for each the number of each of its values."""
        facts, values = {}, {}
        for choice, weights in self.facts.items():
            start = sum(self.program.parameters[w] if isinstance(w, int) else w for w in weights.values())
            self._check_total(choice, weights)
            exhaustive = start >= 1 - 1e-9 and (len(weights) > 1 or not isinstance(next(iter(weights.values())), int))
            facts[choice] = Fact(tuple(weights.values()), exhaustive)
            values[choice] = {value: i for i, value in enumerate(weights)}
        return facts, values

    def _check_total(self, choice: Any, weights: dict[int, float | int]) -> None:
        """Refuse an annotated disjunction whose heads, reached or not, have more than all probability."""
        group, context = choice
        heads = [] if group == "fact" else self.engine.database.heads(group)
        if len(heads) < 2 or any(isinstance(weight, int) for weight in weights.values()):
            return
        name = self.program.source.name
        total = sum(read_probability(instantiate(head.probability, context), name) for head in heads)
        if total > 1 + 1e-9:
            place = self.engine.database.lineno(heads[0].location)
            error = GroundingError(f"the probabilities of an annotated disjunction exceed 1: {total:.6g}", place)
            raise UserError(f"{name}: {str(error).rstrip('.')}")

    def answers(self) -> dict[tuple[Value, ...], tuple[tuple[Term, ...], int]]:
        """Each answer: the values of the arguments, their terms in ProbLog, and its root."""
        answers: dict[tuple[Value, ...], tuple[tuple[Term, ...], int]] = {}
        positions = [self.query.names.index(name) for name in self.query.arguments]
        for name, node in self.formula.queries():
            if node is None:
                continue
            if not name.is_ground():
                raise UserError(f"the answer {name.args} to {self.query.goal} leaves an argument open")
            terms = tuple(name.args[position] for position in positions)
            answer = tuple(map(to_python, terms))
            if answer in answers:
                both = " and ".join(", ".join(map(str, each)) for each in (answers[answer][0], terms))
                raise UserError(
                    f"{self.query.goal} has two answers that ProbLog tells apart and Python does not, {both}: let the "
                    "rule write numbers in one way, by float(...) or by //, and names all with quotes or all without"
                )
            answers[answer] = (terms, node)
        return answers


def _images_in(value: Value, images: Sequence[str]) -> Iterator[str]:
    if isinstance(value, tuple):
        for element in value:
            yield from _images_in(element, images)
    elif isinstance(value, str) and value in images:
        yield value
