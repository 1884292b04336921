"""Grounds a program for a query by DeepProbLog's exact engine; a placeholder stands for each image."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

from deepproblog.engines import ExactEngine
from deepproblog.model import Model
from deepproblog.network import Network
from problog.clausedb import ClauseDB
from problog.engine import DefaultEngine, NonGroundProbabilisticClause, UnknownClause
from problog.engine_builtin import CallModeError
from problog.engine_stack import DefineCache
from problog.errors import GroundingError, NonGroundQuery, ProbLogError
from problog.formula import LogicFormula
from problog.logic import Clause, Term, Var, is_ground, list2term
from problog.program import LogicProgram, SimpleProgram

from gedi_nesy.errors import UserError
from gedi_nesy.logic.builtins import Formula, add_builtins
from gedi_nesy.logic.database import Database
from gedi_nesy.logic.ground import GroundProgram, Value
from gedi_nesy.logic.predicates import calling_each_other, what_was_meant
from gedi_nesy.logic.program import Program, Source
from gedi_nesy.logic.query import Query
from gedi_nesy.logic.reading import GIVEN, OBSERVED, Reading
from gedi_nesy.logic.sublists import ground_possible_lists
from gedi_nesy.logic.time_limit import TimeIsUp, time_limit
from gedi_nesy.logic.token_clauses import Candidates
from gedi_nesy.logic.tokens import CONDITIONAL, ConditionalBuiltIn, LookedInto, Token, first_token, looked_into

GOAL = "gedi_nesy_goal"  # the query is wrapped in a rule of this name; its arguments are the query's variables
CHECKED = 8  # answers that are grounded once more, with the arguments given
OPEN_TESTS = {  # what may answer otherwise while a variable is open
    *("\\+", "not/1", "\\=/2", "==/2", "\\==/2", "@</2", "@>/2", "@=</2", "@>=/2", "compare/3", "copy_term/2"),
    *("var/1", "nonvar/1", "ground/1", "atom/1", "atomic/1", "number/1", "integer/1", "float/1", "compound/1"),
    *("is_list/1", "findall/3", "all/3", "all_or_none/3", "forall/2", "cut/1", "try_call/1", "once/1"),
}
# errors that ProbLog's text does not explain: the caller adds how to mend them
EXPLAINED = (CallModeError, NonGroundProbabilisticClause, UnknownClause, NonGroundQuery, RecursionError, LookedInto)
CONTROL = ("'->'/2", "'!'/0", "->/2", "!/0", "'*->'/2", "*->/2")  # of Prolog, which ProbLog lacks


class Engine(DefaultEngine):
    """ProbLog's grounder, told where the program's text lies.

    ProbLog's subquery/2 makes a further one, without arguments, for the database that is there.

    Args:
        source: the program's text.
        trusted: allow it to import Python and to load files outside its folder.
        has_tokens: the goal to be grounded has tokens in it.
    """

    def __init__(self, source: Source | None = None, trusted: bool = False, has_tokens: bool = False) -> None:
        super().__init__()
        self.source, self.trusted, self.has_tokens = source, trusted, has_tokens
        self.calls: Counter[str] = Counter()  # how often each predicate was called
        self.location: Any = None  # of the latest call
        self.database: Any = None

    def load_builtins(self) -> None:
        """Load ProbLog's built-in predicates, and ours in the place of some."""
        super().load_builtins()
        add_builtins(self)
        for signature in CONDITIONAL:
            name, arity = signature.rsplit("/", 1)
            plain = self.get_builtin(self.get_builtins()[signature])
            self.add_builtin(name, int(arity), ConditionalBuiltIn(signature, plain))

    def eval_call(self, node_id: Any, node: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a predicate, and count it."""
        functor = str(node.functor).strip("'")
        self.calls[f"{functor}/{len(node.args)}"] += 1
        self.location = node.location
        return super().eval_call(node_id, node, *args, **kwargs)

    def execute(self, node_id: Any, target: Any = None, database: Any = None, **kwargs: Any) -> Any:
        """Run a goal, its results kept in a table of our own."""
        if not hasattr(target, "_cache"):
            target._cache = _Table(database.dont_cache)
        return super().execute(node_id, target=target, database=database, **kwargs)

    def eval_define(self, *, node: Any, context: Any, **kwargs: Any) -> Any:
        """Try a predicate's clauses; where there are tokens, those whose heads don't look into them."""
        if self.has_tokens and first_token(context) is not None:
            node = node._replace(children=Candidates(kwargs["database"], node.children))
        return super().eval_define(node=node, context=context, **kwargs)

    def eval_choice(self, *, context: Any, **kwargs: Any) -> Any:
        """Make a random variable, which can't be one of several that a token chooses from."""
        if self.has_tokens and (token := first_token(context)) is not None:
            token.refuse("a probability")
        return super().eval_choice(context=context, **kwargs)

    def eval_builtin(self, *, context: Any, **kwargs: Any) -> Any:
        """Call a built-in predicate, or one in Python, unless it looks into a token."""
        if self.has_tokens:
            signature = self._signatures.get(kwargs.get("node_id"), "a predicate in Python")
            if (token := looked_into(signature, context)) is not None:
                token.refuse(signature)
        return super().eval_builtin(context=context, **kwargs)

    @cached_property
    def _signatures(self) -> dict[Any, str]:
        return {number: signature for signature, number in self.get_builtins().items()}

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
        """Turn what ProbLog raises into a UserError of one sentence, except for errors that the caller explains.

        Args:
            name: what the sentence calls the program or goal.
            explained: errors that pass through.
        """
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


class _Table(DefineCache):
    """ProbLog's table of goals and their results.

    A goal's results also answer those that are instances of it, unless one of them is a token: it may be equal.
    """

    def __setitem__(self, goal: tuple[str, Any], results: Any) -> None:
        super().__setitem__(goal, results)
        functor, arguments = goal
        open_ = [i for i, argument in enumerate(arguments) if not is_ground(argument)]
        if open_ and any(first_token(found[i] for i in open_) is not None for found in results.keys()):  # noqa: SIM118
            for found in results.keys():  # noqa: SIM118
                with suppress(KeyError):
                    del self[functor, found]


def ground(program: Program, query: Query, seconds: float, trust: bool = False) -> GroundProgram:
    """Ground the query, with an image for each variable that is no argument; arguments are left open.

    Args:
        program: the program.
        query: the goal.
        seconds: the time it may take.
        trust: allow the program to import Python and to consult files outside its folder.

    Raises:
        UserError: the program or the query is wrong, or the time was not enough.
    """
    reading = _grounded(program, query, seconds, trust)
    grounded = reading.result()
    if query.images and grounded.root is None and not reading.calls:
        raise UserError(
            f"{query.goal} is never true, whatever its images show: look at the rule, and at the values and the "
            "lengths of its arguments"
        )
    reading.check_images()
    return grounded


def ground_given(program: Program, query: Query, answer: Sequence[Value], seconds: float, trust: bool) -> GroundProgram:
    """Ground the query with values for its arguments; see `ground`."""
    return _grounded(program, Query(program, query.given(answer), ()), seconds, trust).result()


def argument_terms(program: Program, query: Query, seconds: float, trust: bool) -> list[dict[Value, Term]]:
    """For each argument (a list element by element) its values, the same as ProbLog's terms; see `ground`."""
    return _grounded(program, query, seconds, trust).terms()


def _grounded(program: Program, query: Query, seconds: float, trust: bool) -> Reading:
    """Ground with a token for each argument; those that the program looks into are left open after all."""
    opened: dict[str, str] = {}  # and the predicates that look into them
    with time_limit(seconds):
        while True:
            tokens = {name: _tokens(query, name) for name in query.arguments if name not in opened}
            try:
                with _errors_explained(program, query, opened):
                    return _grounded_with(program, query, tokens, opened, seconds, trust)
            except LookedInto as error:
                opened[error.argument] = error.by


def _tokens(query: Query, name: str) -> list[Token]:
    length = query.lengths.get(name)
    return [Token(name)] if length is None else [Token(name, place) for place in range(length)]


def _grounded_with(
    program: Program,
    query: Query,
    tokens: dict[str, list[Token]],
    opened: Mapping[str, str],
    seconds: float,
    trust: bool,
) -> Reading:
    formula, engine = Formula(), Engine(program.source, trust, bool(tokens))
    terms = {name: Term("tensor", Term(name)) for name in query.images} | {
        name: own[0] if own[0].place is None else list2term(own) for name, own in tokens.items()
    }
    try:
        with engine.errors_named(program.source.name, EXPLAINED):
            _fill(formula, engine, program, query, [terms.get(name) for name in query.names])
    except TimeIsUp:
        raise UserError(_out_of_time(formula, engine, query, seconds, opened) + _circle(program)) from None
    open_tests = engine.open_tests() if opened else ()
    return Reading(program, query, formula, engine.database, open_tests, tokens)


@contextmanager
def _errors_explained(program: Program, query: Query, opened: Mapping[str, str]) -> Iterator[None]:
    """Let ProbLog's errors of a kind that a user can mend be a sentence that says how."""
    name = program.source.name
    try:
        yield
    except CallModeError as error:
        mend = f"; {', '.join(opened)} is open while grounding: let the rule produce it, as by between(0,9,N)"
        raise UserError(f"{name}: {str(error).rstrip('.')}{mend * bool(opened)}") from None
    except NonGroundProbabilisticClause as error:
        mend = "what a network reads, or a probability is of, must be known when it is reached"
        argument = f"; what a network reads is no argument ({', '.join(query.arguments)})" * bool(query.arguments)
        raise UserError(f"{name}: {str(error).rstrip('.')}: {mend}{argument}") from None
    except UnknownClause as error:
        control = "; ProbLog has no cut and no if-then-else: write a clause for each case, with \\+ for the other"
        missing = control if error.signature in CONTROL else what_was_meant(error.signature, program)
        raise UserError(f"{name}: {str(error).rstrip('.')}{missing}") from None
    except NonGroundQuery:
        raise UserError(f"{name}: an answer to {query.goal} leaves a variable open") from None
    except RecursionError:
        circle = _circle(program)
        raise UserError(f"{name}: {query.goal} recurses too deeply; does it ever end?{circle}") from None


def with_goal(program: Program, query: Query) -> SimpleProgram:
    """The program's statements, and the query as a rule for GOAL."""
    statements = SimpleProgram()
    for statement in program.statements:
        statements.add_statement(statement)
    statements.add_statement(Clause(Term(GOAL, *(Var(name) for name in query.names)), query.goal))
    for number, goal in enumerate(query.evidence.values()):
        statements.add_statement(Clause(Term(f"{GOAL}_{number}", *map(Var, query.images)), goal))
    return statements


def _fill(
    formula: LogicFormula, engine: Engine, program: Program, query: Query, arguments: Sequence[Term | None]
) -> None:
    """Ground the query, with these terms for its variables, and the program's evidence into the formula."""
    statements = with_goal(program, query)
    ground_possible_lists(engine, [len(declaration.domain) for declaration in program.declarations])
    exact = ExactEngine(Model("", [Network(None, f"net{i}") for i in range(len(program.declarations))], load=False))
    exact.engine = engine
    database = exact.prepare(statements)
    engine.ground(database, Term(GOAL, *arguments), formula, label=LogicFormula.LABEL_QUERY)
    if None in arguments and engine.open_tests():
        found = [name for name, node in formula.queries() if node is not None and name.is_ground()]
        for name in found[:: len(found) // CHECKED + 1]:
            del formula._cache  # or it would look up what it found while the arguments were open
            engine.ground(database, name, formula, label=GIVEN)
    images = [Term("tensor", Term(name)) for name in query.images]
    for number in range(len(query.evidence)):
        engine.ground(database, Term(f"{GOAL}_{number}", *images), formula, label=OBSERVED)
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


def _out_of_time(formula: LogicFormula, engine: Engine, query: Query, seconds: float, opened: Mapping[str, str]) -> str:
    calls = [(name, n) for name, n in engine.calls.most_common() if not name.startswith(("_", GOAL))]
    busiest = ", ".join(f"{name} {count:,} times" for name, count in calls[:3])
    mend = (
        "if the recursion does end, the rule enumerates whole numbers or assignments, whose number multiplies: write "
        "it one step at a time, as programs/addition_multi.pl adds digit by digit with a carry, or raise the budget"
    )
    for name, by in opened.items():
        mend = (
            f"all values of {name} are enumerated, as {by} looks into it: let the rule compute it and compare it by =, "
            f"or, where it is a list, name its elements in the query or give its length, as {name}:3"
        )
    return (
        f"{query.goal} was not grounded within its budget of {seconds:g} s: {len(formula):,} ground nodes so far, "
        f"after calling {busiest}; {mend}"
    )
