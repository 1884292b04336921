"""Arguments whose value differs by example: grounding carries a token for each, and notes what it must be equal to.

A token stands for one ground term, nobody knows which. Where the program asks whether it is a certain term, the answer
is yes under a condition, an atom of the ground program. Where it looks at a token in another way, it is told so, and
the argument has to be left open instead. Nothing may fail in silence because a token is no number.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from problog.engine_builtin import list_elements
from problog.engine_unify import UnifyError, unify_value
from problog.logic import Constant, Term, is_variable

from gedi_nesy.logic.arithmetic import evaluate
from gedi_nesy.logic.ground import Value
from gedi_nesy.logic.program import to_python

WIDEST = 1_000  # values that between/3 may leave to a token


class LookedInto(Exception):
    """The program looks at a token in a way that no condition stands for.

    Args:
        argument: whose token it is.
        by: the predicate that looks; "a clause" where the head of one does.
    """

    def __init__(self, argument: str, by: str) -> None:
        super().__init__(argument, by)
        self.argument, self.by = argument, by


class Token(Constant):
    """An argument's value, or that of one element of it: equal to itself, and incomparable to all else.

    Args:
        argument: its name in the query.
        place: of the element, where the argument is a list.

    Attributes:
        terms: the values that the program asked for, each as a Python value and as a term.
    """

    def __init__(self, argument: str, place: int | None = None) -> None:
        super().__init__(f"'{argument}'" if place is None else f"'{argument}[{place}]'")
        self.argument, self.place = argument, place
        self.terms: dict[Value, Term] = {}

    def __hash__(self) -> int:
        return hash((self.argument, self.place))

    def __eq__(self, other: object) -> bool:
        if self is other or other is None or isinstance(other, int):
            return self is other
        self.refuse("a comparison")

    @property
    def signature(self) -> str:
        """Unification compares signatures first: this one says no to nobody."""
        return _Signature(self)

    def refuse(self, by: str) -> NoReturn:
        """Tell who asked that this predicate can't look at a token."""
        raise LookedInto(self.argument, by)


class _Signature(str):
    def __new__(cls, token: Token) -> "_Signature":
        return super().__new__(cls, f"{token.functor}/0")

    def __init__(self, token: Token) -> None:
        self.token = token

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _Signature) and other.token is self.token:
            return True
        self.token.refuse("a clause")

    def __ne__(self, other: object) -> bool:
        return not self == other


class Condition(Term):
    """The weight of an atom that says which value a token has.

    Args:
        token: the token.
        value: what it is equal to.
    """

    def __init__(self, token: Token, value: Value) -> None:
        super().__init__("argument", token)
        self.token, self.equal_to = token, value


def is_equal(token: Token, term: Term, formula: Any, by: str) -> int:
    """The node of the formula that says: the token stands for this ground term.

    Raises:
        LookedInto: the term holds a token, or ProbLog can tell it from one that is the same in Python.
    """
    if first_token([term]) is not None:
        token.refuse(by)
    value = to_python(term)
    if str(token.terms.setdefault(value, term)) != str(term):
        token.refuse(by)
    node: int = formula.add_atom((token, value), Condition(token, value))
    return node


def first_token(terms: Iterable[Any]) -> Token | None:
    """The first token in these terms, at any depth."""
    stack = list(terms)[::-1]
    while stack:
        term = stack.pop()
        if isinstance(term, Token):
            return term
        if isinstance(term, Term) and term.args and _may_hold(term):
            stack.extend(reversed(term.args))
    return None


def _may_hold(term: Term) -> bool:
    """Whether a compound term has a token in it; the answer is kept with the term, a no with those inside, too."""
    if not hasattr(term, "holds_token"):
        term.holds_token = False
        stack, inside = list(term.args), [term]
        while stack and not term.holds_token:
            part = stack.pop()
            term.holds_token = isinstance(part, Token) or getattr(part, "holds_token", False)
            if isinstance(part, Term) and not hasattr(part, "holds_token"):
                inside.append(part)
                stack.extend(part.args)
        if not term.holds_token:
            for part in inside:
                part.holds_token = False
    return bool(term.holds_token)


Answer = tuple[Sequence[Any], int | None]  # what a goal's arguments become, and the node under which it holds


def unified(a: Any, b: Any, formula: Any) -> Answer | None:
    """Unify two terms, tokens with what they meet.

    Returns:
        The two, unified, and the node under which they are; None where they can't be.
    """
    conditions: list[int] = []
    pair = _met(a, b, formula, conditions)
    if pair is None:
        return None
    try:
        result = unify_value(*pair, {})
    except UnifyError:
        return None
    node = formula.add_and(conditions) if conditions else formula.TRUE
    return None if node is None else ((_bound(a, result), _bound(b, result)), node)


def _bound(term: Any, result: Any) -> Any:
    """The term with its variables as in the result, its constants as they are, which may be a token's in the result."""
    if is_variable(term):
        return result
    return term.with_args(*map(_bound, term.args, result.args)) if term.args else term


def _met(a: Any, b: Any, formula: Any, conditions: list[int]) -> tuple[Any, Any] | None:
    """Both terms with the token wherever one of them has it, and what that takes; None where they differ elsewhere."""
    if is_variable(a) or is_variable(b) or a is b:
        return a, b
    if isinstance(b, Token):
        a, b = b, a
    if isinstance(a, Token):
        if isinstance(b, Token) or not b.is_ground():
            a.refuse("=/2")
        conditions.append(is_equal(a, b, formula, "=/2"))
        return a, a
    if a.signature != b.signature:
        return None
    pairs = [_met(*both, formula, conditions) for both in zip(a.args, b.args, strict=True)]
    if any(pair is None for pair in pairs):
        return None
    if not pairs:
        return a, b
    of_a, of_b = zip(*pairs, strict=True)
    return a.with_args(*of_a), b.with_args(*of_b)


def _equation(a: Any, b: Any, formula: Any, by: str) -> Answer | None:
    return unified(a, b, formula)


def _is(result: Any, expression: Any, formula: Any, by: str) -> Answer | None:
    if not isinstance(result, Token):
        _refuse(result, expression, by=by)
    return (result, expression), _is_number(result, expression, formula, by)


def _same(a: Any, b: Any, formula: Any, by: str) -> Answer | None:
    """==, =:= and their like, of a token and a ground term without any."""
    token, other = (a, b) if isinstance(a, Token) else (b, a)
    if other is token:
        return (a, b), formula.TRUE
    if not isinstance(token, Token) or is_variable(other) or not other.is_ground():
        _refuse(a, b, by=by)
    by_number = by in ("=:=/2", "=\\=/2")
    return (a, b), (_is_number if by_number else is_equal)(token, other, formula, by)


def _is_number(token: Token, expression: Any, formula: Any, by: str) -> int:
    if is_variable(expression) or not expression.is_ground() or first_token([expression]) is not None:
        token.refuse(by)
    return is_equal(token, Constant(evaluate(expression)), formula, by)


def _different(a: Any, b: Any, formula: Any, by: str) -> Answer | None:
    answer = _same(a, b, formula, by)
    return answer and (answer[0], formula.negate(answer[1]))


def _between(low: Any, high: Any, value: Any, formula: Any, by: str) -> Answer | None:
    bounds = [bound.functor for bound in (low, high) if isinstance(bound, Constant) and isinstance(bound.functor, int)]
    if len(bounds) < 2 or not isinstance(value, Token) or bounds[1] - bounds[0] > WIDEST:
        _refuse(low, high, value, by=by)
    nodes = [is_equal(value, Constant(v), formula, by) for v in range(bounds[0], bounds[1] + 1)]
    return ((low, high, value), formula.add_or(nodes)) if nodes else None


def _refuse(*terms: Any, by: str) -> NoReturn:
    token = first_token(terms)
    assert token is not None, "a built-in predicate is asked for a condition only where there is a token"
    token.refuse(by)


CONDITIONAL: dict[str, Callable[..., Answer | None]] = {
    **{"=/2": _equation, "is/2": _is, "between/3": _between},
    **dict.fromkeys(("==/2", "=:=/2"), _same),
    **dict.fromkeys(("\\==/2", "=\\=/2", "\\=/2"), _different),
}


class ConditionalBuiltIn:
    """A built-in predicate that knows tokens; without any it is ProbLog's, or ours.

    Args:
        signature: the predicate.
        plain: what it is without tokens.
    """

    def __init__(self, signature: str, plain: Callable[..., Any]) -> None:
        self.signature, self.plain, self.answer = signature, plain, CONDITIONAL[signature]

    def __call__(self, *arguments: Any, **place: Any) -> Any:
        """Tell the caller under which condition the goal holds."""
        if first_token(arguments) is None:
            return self.plain(*arguments, **place)
        answer, callback = self.answer(*arguments, formula=place["target"], by=self.signature), place["callback"]
        if answer is None or answer[1] is None:
            return True, callback.notifyComplete()
        result = place["engine"].create_context(answer[0], parent=place["context"])
        return True, callback.notifyResult(result, answer[1], True)


def looked_into(signature: str, arguments: Sequence[Any]) -> Token | None:
    """The token that a call of a built-in predicate looks at, if it is none of the conditional ones."""
    if signature in CONDITIONAL or signature in ("nonvar/1", "ground/1"):
        return None
    if signature.startswith("call/") and not isinstance(arguments[0], Token):
        return None
    if signature == "length/2":
        return first_token([list_elements(arguments[0])[1], arguments[1]])
    return first_token(arguments)
