"""Grounds a program for a query by DeepProbLog's exact engine; a placeholder stands for each image."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from deepproblog.engines import ExactEngine
from deepproblog.model import Model
from deepproblog.network import Network
from problog.clausedb import ClauseDB
from problog.engine import DefaultEngine, NonGroundProbabilisticClause, UnknownClause
from problog.engine_builtin import CallModeError
from problog.errors import GroundingError, NonGroundQuery, ProbLogError
from problog.formula import LogicFormula
from problog.logic import Clause, Term, Var
from problog.program import LogicProgram, SimpleProgram

from gedi_nesy.errors import UserError
from gedi_nesy.logic.builtins import Formula, add_builtins
from gedi_nesy.logic.database import Database
from gedi_nesy.logic.ground import GroundProgram, Value
from gedi_nesy.logic.predicates import calling_each_other, what_was_meant
from gedi_nesy.logic.program import Program, Source
from gedi_nesy.logic.query import Query
from gedi_nesy.logic.reading import GIVEN, Reading
from gedi_nesy.logic.sublists import ground_possible_lists
from gedi_nesy.logic.time_limit import TimeIsUp, time_limit

GOAL = "gedi_nesy_goal"  # the query is wrapped in a rule of this name; its arguments are the query's variables
CHECKED = 8  # answers that are grounded once more, with the arguments given
OPEN_TESTS = {  # what may answer otherwise while a variable is open
    *("\\+", "not/1", "\\=/2", "==/2", "\\==/2", "@</2", "@>/2", "@=</2", "@>=/2", "compare/3", "copy_term/2"),
    *("var/1", "nonvar/1", "ground/1", "atom/1", "atomic/1", "number/1", "integer/1", "float/1", "compound/1"),
    *("is_list/1", "findall/3", "all/3", "all_or_none/3", "forall/2", "cut/1", "try_call/1", "once/1"),
}
# errors that ProbLog's text does not explain: the caller adds how to mend them
EXPLAINED = (CallModeError, NonGroundProbabilisticClause, UnknownClause, NonGroundQuery, RecursionError)
CONTROL = ("'->'/2", "'!'/0", "->/2", "!/0", "'*->'/2", "*->/2")  # of Prolog, which ProbLog lacks


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
        """Load ProbLog's built-in predicates, and ours in the place of some."""
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
    reading.check_images()
    return reading.result()


def ground_given(program: Program, query: Query, answer: Sequence[Value], seconds: float, trust: bool) -> GroundProgram:
    """Ground the query with values for its arguments; see `ground`."""
    return _grounded(program, Query(program, query.given(answer), ()), seconds, trust).result()


def answer_terms(
    program: Program, query: Query, seconds: float, trust: bool
) -> dict[tuple[Value, ...], tuple[Term, ...]]:
    """For each answer (the arguments' values in Python) the same values as ProbLog's terms; see `ground`."""
    return {answer: terms for answer, (terms, _) in _grounded(program, query, seconds, trust).answers().items()}


def _grounded(program: Program, query: Query, seconds: float, trust: bool) -> Reading:
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
        missing = control if error.signature in CONTROL else what_was_meant(error.signature, program)
        raise UserError(f"{program.source.name}: {str(error).rstrip('.')}{missing}") from None
    except NonGroundQuery:
        raise UserError(f"{program.source.name}: an answer to {query.goal} leaves a variable open") from None
    except RecursionError:
        circle = _circle(program)
        raise UserError(f"{program.source.name}: {query.goal} recurses too deeply; does it ever end?{circle}") from None
    open_tests = engine.open_tests() if query.arguments else ()
    return Reading(program, query, formula, engine.database, open_tests)


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
