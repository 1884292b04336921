"""Built-in predicates of ISO Prolog in the place of ProbLog's where these differ; refuses some that can't be right."""

import re
from collections.abc import Callable
from functools import cmp_to_key
from math import isfinite
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from problog.engine_builtin import build_list, check_mode, list_elements
from problog.engine_stack import BooleanBuiltIn, SimpleBuiltIn, SimpleProbabilisticBuiltIn
from problog.engine_unify import UnifyError, subsumes, unify_value
from problog.errors import GroundingError
from problog.formula import LogicFormula
from problog.logic import ArithmeticError as ProbLogArithmeticError
from problog.logic import Clause, Constant, Term, is_variable

from gedi_nesy.logic.arithmetic import evaluate
from gedi_nesy.logic.syntax import canonical_name


class Formula(LogicFormula):
    """A ground program whose findall/3 lists its answers in the order they were found in.

    ProbLog sorts them by the latest node below each, so that one that rests on earlier facts, or on what does not hold,
    comes too early. Where an answer has several proofs only ProbLog's order can tell them apart, and stays, although it
    may differ from Prolog's: the list is then right but for its order.
    """

    _asked = 0
    several = False

    def enumerate_branches(self, index: Any, anc: tuple[Any, ...] = ()) -> Any:
        """A node's proofs, each with its place; findall/3 asks for one answer after the other, then sorts."""
        if anc:
            return super().enumerate_branches(index, anc)
        self._asked += 1
        proofs = list(super().enumerate_branches(index))
        self.several = self.several or len(proofs) > 1
        return [(_Place(self, self._asked, latest), proof) for latest, proof in proofs]


class _Place:
    """Where a proof stands among all, once all are known."""

    def __init__(self, formula: Formula, asked: int, latest: int) -> None:
        self.formula, self.asked, self.latest = formula, asked, latest

    def __lt__(self, other: "_Place") -> bool:
        return self.latest < other.latest if self.formula.several else self.asked < other.asked


Results = list[tuple[Any, ...]]

INTEGER = re.compile(r"[+-]?\d+")
FLOAT = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
COMPARISONS = {">": gt, "<": lt, "=<": le, ">=": ge, "=:=": eq, "=\\=": ne}
ORDERS = {"@>": gt, "@<": lt, "@=<": le, "@>=": ge}
REFUSED = {  # what ProbLog gets wrong, and what to write instead
    "sample_uniform1/3": "it fails in ProbLog: write select_uniform of library(lists)",
    "seq/1": "it counts across possible worlds: give each its number as an argument",
    "set_state/1": "it fails in ProbLog: pass the state as an argument",
    "reset_state/0": "it fails in ProbLog: pass the state as an argument",
    "check_state/1": "it fails in ProbLog: pass the state as an argument",
    "condition/1": "it fails in ProbLog: write evidence(goal)",
    "probabilityX/1": "it fails in ProbLog: write subquery(goal,P)",
}


def _comparison(name: str, holds: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def compare_values(a: Any, b: Any, **place: Any) -> bool:
        check_mode((a, b), ["gg"], functor=name, **place)
        return holds(evaluate(a), evaluate(b))

    return compare_values


def _is(result: Any, expression: Any, **place: Any) -> Results:
    check_mode((result, expression), ["*g"], functor="is", **place)
    value = Constant(evaluate(expression))
    return [(value, expression)] if _unified(result, value) is not None else []


def _unified(a: Any, b: Any) -> Any:
    try:
        return unify_value(a, b, {})
    except UnifyError:
        return None


def standard_order(a: Any, b: Any) -> int:
    """-1, 0 or 1: which of two terms is first: variables, numbers, strings, atoms, compound terms.

    Raises:
        ArithmeticError: ProbLog's: a whole number is smaller than a float, where ISO Prolog and its systems differ.
    """
    if _rank(a) != _rank(b):
        return _sign(_rank(a), _rank(b))
    if is_variable(a):
        return _sign(str(a), str(b))
    if _rank(a) == 1:
        return _order_of_numbers(a.functor, b.functor)
    by_name = _sign((a.arity, _text(a)), (b.arity, _text(b)))
    return by_name or next(filter(None, map(standard_order, a.args, b.args)), 0)


def _rank(term: Any) -> int:
    if is_variable(term):
        return 0
    return 3 if not isinstance(term, Constant) else 1 if isinstance(term.functor, int | float) else 2


def _sign(a: Any, b: Any) -> int:
    return (a > b) - (a < b)


def _order_of_numbers(a: int | float, b: int | float) -> int:
    if type(a) is type(b):
        return _sign(a, b)
    float_first = -1 if isinstance(a, float) else 1
    if _sign(a, b) == -float_first:
        raise ProbLogArithmeticError(
            f"the standard order of {a} and {b} is not the same everywhere, as one is a whole number and one is not: "
            "compare numbers with <, or write both as floats"
        )
    return float_first


def _text(term: Term) -> str:
    return str(term.functor).strip("'")


def _ordered(holds: Callable[[int, int], bool]) -> Callable[..., bool]:
    return lambda a, b, **place: holds(standard_order(a, b), 0)


def _compare(order: Any, a: Any, b: Any, **place: Any) -> Results:
    check_mode((order, a, b), ["<**", "v**"], functor="compare", **place)
    found = Term(("'<'", "'='", "'>'")[standard_order(a, b) + 1])
    return [(found, a, b)] if is_variable(order) or order == found else []


def _sort(terms: Any, result: Any, **place: Any) -> Results:
    check_mode((terms, result), ["L*"], functor="sort", **place)
    elements, _ = list_elements(terms)
    found = _unified(result, build_list(sorted(set(elements), key=cmp_to_key(standard_order)), Term("[]")))
    return [] if found is None else [(terms, found)]


def _is_list(term: Any, **place: Any) -> bool:
    while not is_variable(term) and term.functor == "." and term.arity == 2:
        term = term.args[1]
    return not is_variable(term) and term == Term("[]")


def _subsumes_term(general: Any, specific: Any, **place: Any) -> bool:
    try:
        return bool(subsumes(general, specific))
    except UnifyError:  # ProbLog's own lets it out
        return False


def _atom_number(atom: Any, number: Any, **place: Any) -> Results:
    """An atom and the number that it spells."""
    if check_mode((atom, number), ["a*", "vi", "vf"], functor="atom_number", **place):
        return [(Term(canonical_name(str(number))), number)]
    spelled = number_from(_text(atom))
    found = None if spelled is None else _unified(number, spelled)
    return [] if found is None else [(atom, found)]


def number_from(text: str) -> Constant | None:
    """The number that a text spells; None if it spells none."""
    if INTEGER.fullmatch(text):
        return Constant(int(text))
    return Constant(float(text)) if FLOAT.fullmatch(text) and isfinite(float(text)) else None


def str2int(text: Any, number: Any, **place: Any) -> Results:
    """The number that a text or atom of digits spells, instead of ProbLog's own, which fails on atoms."""
    check_mode((text, number), ["s*"], functor="str2int", **place)
    spelled = number_from(str(text.functor).strip("'\""))
    if spelled is None or not spelled.is_integer():
        raise GroundingError(f"str2int: {text} is no whole number", place["database"].lineno(place["location"]))
    found = _unified(number, spelled)
    return [] if found is None else [(text, found)]


def _once(goal: Any, engine: Any = None, database: Any = None, target: Any = None, **place: Any) -> list[Any]:
    """The goal's first answer in each possible world: one that holds where none of those before it does."""
    check_mode((goal,), ["c"], functor="once", database=database, **place)
    found: list[Any] = []
    before: list[Any] = []
    for answer, node in _answers_in_order(goal, engine, database, target, place):
        first = target.add_and((*before, node))
        if first is not None:
            found.append(((answer,), first))
        if node == target.TRUE:
            break
        before.append(target.negate(node))
    return found


def _answers_in_order(
    goal: Term, engine: Any, database: Any, target: Any, place: dict[str, Any]
) -> list[tuple[Any, int | None]]:
    """Each answer and its node.

    Raises:
        GroundingError: one has several proofs, among which those of others may lie; ProbLog does not keep their order.
    """
    head = Term(engine.get_non_cache_functor(), goal, *goal.variables())
    clauses = database.extend()
    clauses += Clause(head, goal)
    own = target.__class__(keep_order=True, keep_all=True, keep_duplicates=True)
    context = {name: value for name, value in place.items() if name != "context"}
    results = engine.call(head.apply(_Open()), subcall=True, database=clauses, target=own, **context)
    if not all(_has_one_proof(own, node) for _, node in results[:-1]):
        raise GroundingError(
            f"once({goal}): one of its answers has several proofs, so which comes first can't be told: write a clause "
            "for each case, with \\+ for those before it",
            database.lineno(place["location"]),
        )
    return [(answer[0], own.copy_node(target, node)) for answer, node in results]


def _has_one_proof(formula: Any, node: int | None) -> bool:
    if not node or node < 0:
        return True
    kind, children = type(formula.get_node(node)).__name__, getattr(formula.get_node(node), "children", ())
    return (kind != "disj" or len(children) == 1) and all(_has_one_proof(formula, child) for child in children)


class _Open:
    """Leaves every variable open."""

    def __getitem__(self, name: Any) -> None:
        return None


def _refused(signature: str, mend: str) -> Callable[..., Any]:
    def refuse(*arguments: Any, database: Any = None, location: Any = None, **place: Any) -> Any:
        raise GroundingError(f"{signature} can't be used, {mend}", database.lineno(location))

    return refuse


def add_builtins(engine: Any) -> None:
    """Put ours in the place of ProbLog's."""
    for name, holds in COMPARISONS.items():
        engine.add_builtin(name, 2, BooleanBuiltIn(_comparison(name, holds)))
    for name, holds in ORDERS.items():
        engine.add_builtin(name, 2, BooleanBuiltIn(_ordered(holds)))
    engine.add_builtin("is", 2, SimpleBuiltIn(_is))
    engine.add_builtin("compare", 3, SimpleBuiltIn(_compare))
    engine.add_builtin("sort", 2, SimpleBuiltIn(_sort))
    engine.add_builtin("is_list", 1, BooleanBuiltIn(_is_list))
    engine.add_builtin("subsumes_term", 2, BooleanBuiltIn(_subsumes_term))
    engine.add_builtin("atom_number", 2, SimpleBuiltIn(_atom_number))
    engine.add_builtin("once", 1, SimpleProbabilisticBuiltIn(_once))
    for signature, mend in REFUSED.items():
        name, arity = signature.split("/")
        engine.add_builtin(name, int(arity), SimpleBuiltIn(_refused(signature, mend)))
