"""Read and check a ProbLog program: syntax, neural predicates, probabilities."""

import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from problog.errors import ParseError, ProbLogError
from problog.logic import AnnotatedDisjunction, Clause, Constant, Or, Term, Var, is_list, list2term, term2list

from gedi_nesy.errors import UserError
from gedi_nesy.logic.ground import Value
from gedi_nesy.logic.syntax import DIGITS, parse
from gedi_nesy.logic.timed_parser import SECONDS

NUMBER = re.compile(r"'(0|-?[1-9]\d*|-?\d+\.\d+|-?\d+(\.\d+)?e[+-]\d+)'")  # in quotes, as Python writes it


@dataclass(frozen=True)
class Declaration:
    """One `nn(network, inputs, output, domain) :: head` of the program, or as a fact `nn(network, inputs) :: head`."""

    network: str
    domain: tuple[Value, ...]
    place: str
    fact: bool


@dataclass(frozen=True)
class Parameter:
    """A learnable probability, `t(start) :: head`; `group` is the number of its statement among those that learn."""

    head: str
    place: str
    start: float
    group: int


def find_program(name_or_path: str | Path) -> Path:
    """The file of a program: a path, or the name of one of ours, with or without `.pl`.

    Raises:
        UserError: there is no such file and no such program.
    """
    package = Path(__file__).resolve().parent.parent
    folders = [folder for folder in (package / "programs", package.parent / "programs") if folder.is_dir()]
    for folder in (Path(), *folders):
        for candidate in (folder / name_or_path, folder / f"{name_or_path}.pl"):
            if candidate.is_file():
                return candidate
    known = ", ".join(sorted({path.stem for folder in folders for path in folder.glob("*.pl")}))
    raise UserError(f"there is no program {name_or_path}: give the path of a ProbLog file, or one of {known}")


def read_source(program: str | Path) -> "Source":
    """A program from its path, from the name of one of ours, or from its text.

    Raises:
        UserError: there is no such program, or it has a syntax error.
    """
    if isinstance(program, str) and any(mark in program for mark in (":-", "::", "\n")):
        return Source(program, "the program", Path())
    return read_file(find_program(program))


def read_file(path: Path, seconds: float = SECONDS) -> "Source":
    """A program from its file, parsed within a budget of seconds.

    Raises:
        UserError: it can't be read, has a syntax error, or is no text in UTF-8.
    """
    return Source(read_text(path), path.name, path.parent, seconds)


def read_text(path: Path) -> str:
    """The text of a file that ProbLog is to read.

    Raises:
        UserError: it can't be read, is a device or a pipe, or no text in UTF-8.
    """
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:  # a pipe may have no writer
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UserError(f"{path} is no file of text, but a device, a pipe or a folder: give a file")
            return file.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8, see its byte {error.start}: save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None


class Source:
    """A parsed text, which knows the line and column of every term.

    Args:
        text: of the program; a byte order mark at its start is dropped.
        name: what errors call it.
        folder: where it may consult files.
        seconds: the budget for parsing it.
        number: of its file, where a program consists of several.
    """

    def __init__(self, text: str, name: str, folder: Path, seconds: float = SECONDS, number: int = 0) -> None:
        self.text, self.name, self.folder = text.removeprefix("\ufeff"), name, folder
        files = {"source_root": str(folder), "source_files": [str(folder / name)]}
        try:
            self.parsed = parse(self.text, name, seconds, number, **files)
            self.statements = list(self.parsed)
        except ParseError as error:
            _, line, column = error.location
            raise UserError(f"{name}:{line}:{column + 1}: {error.base_message}") from None  # ProbLog counts from 0
        except UserError:  # the budget is spent
            raise
        except Exception as error:  # whatever the text makes ProbLog's parser raise, which does not say where
            line = _line_of(self.text, name, type(error), seconds)
            raise UserError(f"{name}:{line}: {_reason(error)}") from None

    def place(self, term: Any) -> str:
        """file:line:column of a term."""
        location = getattr(term, "location", None)
        where = self.parsed.lineno(location[1]) if location else None
        return f"{self.name}:{where[1]}:{where[2]}" if where else self.name


def _line_of(text: str, name: str, error: type[Exception], seconds: float) -> int:
    """The line up to which the text must be read for this error."""
    lines = text.splitlines()
    for n in range(1, len(lines)):
        try:
            list(parse("\n".join(lines[:n]), name, seconds))
        except error:
            return n
        except Exception:  # a statement goes on in the next line
            continue
    return len(lines)


def _reason(error: Exception) -> str:
    if isinstance(error, ProbLogError):
        return str(error.base_message)
    if isinstance(error, IndexError):
        return "an operator lacks what it needs beside it"
    if isinstance(error, RecursionError):
        return "a term is nested too deeply"
    if isinstance(error, ValueError):  # Python's, of a long number
        return f"a number is too large, the largest whole number has {DIGITS:,} digits"
    return f"ProbLog can't read this: {error}"


class Program:
    """A checked program: its networks numbered by declaration, its learnable probabilities by occurrence.

    Attributes:
        statements: those of the source, with `nn(digits, ...)` as `nn(net0, ...)` and `t(0.1)` as `t(0)`.
        declarations: what `net0`, `net1`, ... stand for.
        parameters: the learnable probabilities.
        groups: for each statement with learnable heads, all its heads: a probability, or a parameter's index (int).
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.declarations: list[Declaration] = []
        self.parameters: list[Parameter] = []
        self.groups: list[tuple[float | int, ...]] = []
        self.statements = [self._translate(statement) for statement in source.statements]

    @property
    def parameter_names(self) -> list[str]:
        """What each learnable probability stands before: "heads"; where several stand before one, "heads, a.pl:1:7"."""
        times = Counter(parameter.head for parameter in self.parameters)
        return [p.head if times[p.head] == 1 else f"{p.head}, {p.place}" for p in self.parameters]

    def _translate(self, statement: Any) -> Any:
        self._check_names(statement)
        if isinstance(statement, Term) and statement.signature == ":-/0":
            raise UserError(f"{self.source.place(statement)}: a directive, :-, without a goal")
        if isinstance(statement, AnnotatedDisjunction):
            return AnnotatedDisjunction(self._heads(statement.heads), statement.body, location=statement.location)
        if isinstance(statement, Clause):
            return Clause(self._heads([statement.head])[0], statement.body, location=statement.location)
        if isinstance(statement, Or):
            return Or.from_list(self._heads(statement.to_list()))
        return self._heads([statement])[0] if type(statement) is Term else statement

    def _check_names(self, statement: Any) -> None:
        """Refuse '12', which ProbLog takes for the number 12, unless it is there to become one."""
        terms = [statement]
        while terms:
            term = terms.pop()
            if isinstance(term, list):  # the heads of an annotated disjunction
                terms += reversed(term)
            elif isinstance(term, Term) and not isinstance(term, Constant):
                if not term.args and NUMBER.fullmatch(str(term.functor)):
                    raise UserError(
                        f"{self.source.place(term)}: ProbLog can't tell the name {term} from the number: write "
                        "the number, or a name that begins with a letter"
                    )
                spelled = term.signature in ("atom_number/2", "str2int/2")
                terms += reversed([term.probability, *term.args[spelled:]])

    def _heads(self, heads: Sequence[Term]) -> Sequence[Term]:
        self._check_probabilities(heads)
        if any(is_compound(head.probability, "t") for head in heads):
            heads = self._number_parameters(heads)
        neural = [head for head in heads if is_compound(head.probability, "nn")]
        if neural and len(heads) > 1:
            raise UserError(
                f"{self.source.place(neural[0])}: a neural predicate can't be one head of an annotated disjunction; "
                "give it a statement of its own"
            )
        return [self._number_network(head) for head in heads] if neural else heads

    def _check_probabilities(self, heads: Sequence[Term]) -> None:
        """Refuse probabilities above 1 here, reached or not; those that a body computes are checked when it has."""
        total = 0.0
        for head in heads:
            if head.probability is None and len(heads) > 1:
                raise UserError(f"{self.source.place(head)}: {head} has no probability, but what it excludes has")
            if head.functor in ("evidence", "query") and (head.probability is not None or head.arity not in (1, 2)):
                raise UserError(f"{self.source.place(head)}: write query(goal), evidence(goal) or evidence(goal,false)")
            computed = head.probability is None or not head.probability.is_ground()
            if not computed and not any(is_compound(head.probability, name) for name in ("t", "nn")):
                total += read_probability(head.probability, self.source.place(head))
        if total > 1 + 1e-9:
            raise UserError(
                f"{self.source.place(heads[0])}: the probabilities of an annotated disjunction exceed 1: {total:.6g}"
            )

    def _number_parameters(self, heads: Sequence[Term]) -> list[Term]:
        """`t(0.1)` becomes `t(i)`; start values left open, `t(_)`, share evenly what the others leave."""
        starts = [self._start_value(head) for head in heads]
        left = 1 - sum(start for start in starts if start is not None)
        share = left / (starts.count(None) + (len(heads) == 1)) if None in starts else left  # a lone t(_) has 1/2
        if share < -1e-9:
            raise UserError(f"{self.source.place(heads[0])}: the probabilities of {heads[0]} and its like exceed 1")
        members: list[float | int] = []
        numbered = []
        for head, start in zip(heads, starts, strict=True):
            value = share if start is None else start
            if is_compound(head.probability, "t"):
                members.append(len(self.parameters))
                name, place = str(head.with_probability()), self.source.place(head)
                head = head.with_probability(Term("t", Constant(len(self.parameters))))
                self.parameters.append(Parameter(name, place, value, len(self.groups)))
            else:
                members.append(value)
            numbered.append(head)
        self.groups.append(tuple(members))
        return numbered

    def _start_value(self, head: Term) -> float | None:
        term = head.probability
        if is_compound(term, "t"):
            if term.arity > 1:
                raise UserError(
                    f"{self.source.place(head)}: a learnable probability is t(_) or t(0.1), one for all groundings, "
                    f"not {term}: write a fact of its own for each value"
                )
            term = term.args[0]
            if not isinstance(term, Term) or isinstance(term, Var):
                return None
        return read_probability(term, self.source.place(head))

    def _number_network(self, head: Term) -> Term:
        annotation, place = head.probability, self.source.place(head)
        if len(annotation.args) == 3:
            raise UserError(
                f"{place}: network {annotation.args[0]} returns a tensor into the logic, which can't be compiled; "
                "give the values it chooses from, as in nn(net,[X],Y,[a,b,c]) :: p(X,Y)"
            )
        if len(annotation.args) not in (2, 4):
            raise UserError(f"{place}: write nn(net,[X],Y,[a,b,c]) :: p(X,Y) or nn(net,[X]) :: p(X)")
        fact = len(annotation.args) == 2
        domain = (False, True) if fact else self._domain(annotation.args[3], place)
        number = len(self.declarations)
        self.declarations.append(Declaration(to_python(annotation.args[0]), domain, place, fact))
        return head.with_probability(annotation.with_args(Term(f"net{number}"), *annotation.args[1:]))

    def _domain(self, domain: Term, place: str) -> tuple[Value, ...]:
        if not is_list(domain) or not domain.is_ground() or not term2list(domain, False):
            raise UserError(f"{place}: the values of a neural predicate must be a list of symbols, not {domain}")
        values = tuple(to_python(value) for value in term2list(domain, False))
        for number, value in enumerate(values):
            if value in values[:number]:
                raise UserError(f"{place}: the neural predicate names its value {value} twice in {domain}")
        return values


def read_probability(term: Any, place: str) -> float:
    """The number a probability annotation stands for.

    Raises:
        UserError: it is no number, or not between 0 and 1.
    """
    try:
        value = float(term)
    except (TypeError, ValueError, ArithmeticError, ProbLogError):
        name = str(term).strip("'")
        raise UserError(f"{place}: the probability {name} is not a number") from None
    if not -1e-9 <= value <= 1 + 1e-9:
        raise UserError(f"{place}: the probability {term} is not between 0 and 1")
    return min(max(value, 0.0), 1.0)


def is_compound(term: Any, functor: str) -> bool:
    """Whether a term is `functor(...)`."""
    return isinstance(term, Term) and term.functor == functor and term.arity > 0


def to_python(term: Any) -> Value:
    """A ground term as a Python value; a compound one as text; an image, `tensor(X)`, as its name."""
    if isinstance(term, Constant):
        return term.functor.strip('"') if isinstance(term.functor, str) else term.functor
    if is_list(term):
        return tuple(to_python(element) for element in term2list(term, False))
    if is_compound(term, "tensor"):
        return to_python(term.args[0])
    return str(_without_tensors(term)).strip("'")


def _without_tensors(term: Any) -> Any:
    """The term with each image, `tensor(X)`, as its name."""
    if is_compound(term, "tensor"):
        return term.args[0]
    return term.with_args(*map(_without_tensors, term.args)) if isinstance(term, Term) and term.args else term


def to_term(value: Value) -> Term:
    """The inverse of `to_python`: text that is a compound term or a plain name is that, any other a quoted name."""
    if isinstance(value, list | tuple):
        return list2term([to_term(element) for element in value])
    if not isinstance(value, str):
        return Constant(value)
    try:
        terms = list(parse(f"{value}.", "the argument"))
    except (ProbLogError, LookupError, ValueError):
        terms = []
    if len(terms) == 1 and type(terms[0]) is Term and terms[0].is_ground():
        return terms[0]
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return Term(f"'{escaped}'")
