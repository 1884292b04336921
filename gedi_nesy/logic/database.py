"""The clauses of a program and of the files it loads; decides, where a file is opened, whether it may be loaded."""

import threading
from collections.abc import Callable
from functools import cache, cached_property, reduce
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import problog
from problog.clausedb import ClauseDB
from problog.extern import problog_export
from problog.logic import Constant, Term

from gedi_nesy.errors import UserError
from gedi_nesy.logic.builtins import str2int
from gedi_nesy.logic.program import Program, Source, read_text
from gedi_nesy.logic.syntax import parse
from gedi_nesy.logic.token_clauses import linear

LIBRARY = Path(problog.__file__).resolve().parent / "library"
LIBRARIES = ("aggregate", "apply", "builtin", "collect", "control", "cut", "lists", "scope", "string")
ALLOWED = {LIBRARY / f"{name}.pl" for name in LIBRARIES} | {LIBRARY / "lists.py", LIBRARY / "string.py"}
ENDINGS = (".pl", ".problog")  # of a program's own files
WRONG = {  # libraries that can't be right, trusted or not
    LIBRARY / "assert.py": "what it adds in one possible world holds in all: write the facts into the program",
    LIBRARY / "record.py": "what it records in one possible world is there in all: pass it as an argument",
    LIBRARY / "aproblog.py": "a rule's probability is computed with + and * only",
}
OURS = {("string", "str2int", 2): str2int}  # in the place of a library's own predicate

_loading = threading.Lock()  # ProbLog's decorators register with whichever database is the process's latest


class Database(ClauseDB):
    """A clause database that loads what its program may load.

    Args:
        source: the program's text.
        trusted: allow it to import Python and to load files outside its folder.
        builtins: the engine's.
        parent: the database that this one extends.
    """

    def __init__(
        self, source: Source, trusted: bool, builtins: dict[str, int], parent: "Database | None" = None
    ) -> None:
        self.source, self.trusted, self.builtins = source, trusted, builtins
        self._without_constants: dict[int, int] = {}
        self.consulted: list[Path] = parent.consulted if parent else []  # the files it loaded, ProbLog's own left out
        super().__init__(builtins=builtins, parent=parent)
        self.source_root = source.parsed.source_root
        if parent is None:
            self.source_files[0], self.line_info[0] = source.parsed.source_files[0], source.parsed.line_info[0]

    def extend(self) -> "Database":
        """One more, for the goal of a findall, say, that may load no more than this one."""
        return Database(self.source, self.trusted, self.builtins, self)

    def resolve_filename(self, filename: Any) -> str:
        """The file's path, links followed."""
        return str(Path(str(super().resolve_filename(filename))).resolve())

    def consult(self, filename: Any, location: Any = None, my_scope: Any = None) -> tuple[Any, Any]:
        """Load a Prolog file, once."""
        path = Path(self.resolve_filename(filename))
        self._check_allowed(path)
        if str(path) in self.source_files:
            return None, None
        number = len(self.source_files)
        own = path not in ALLOWED
        lines, statements = _own_file(path, number) if own else _library(path, number)
        self.source_files.append(str(path))
        self.source_parent.append(location)
        self.line_info.append(lines)
        if own:
            self.consulted.append(path)
        return self.add_all(statements)

    def load_external_module(self, filename: str) -> tuple[str, list[Term]]:
        """Load a Python file."""
        path = Path(filename)
        self._check_allowed(path)
        if path not in ALLOWED:
            self.consulted.append(path)
            with _loading:
                return super().load_external_module(filename)
        names = []
        for (name, arity), function in EXPORTS[path].items():
            self.add_extern(name, arity, function, scope=path.stem)
            names.append(Term("'/'", Term(name), Constant(arity)))
        return path.stem, names

    @cached_property
    def _choices(self) -> dict[int, list[Any]]:
        choices: dict[int, list[Any]] = {}
        for _, node in self.enum_nodes():
            if type(node).__name__ == "choice":
                choices.setdefault(node.group, []).append(node)
        return choices

    def heads(self, group: int) -> list[Any]:
        """The heads of an annotated disjunction, once all is loaded."""
        return self._choices.get(group, [])

    def without_constants(self, number: int) -> int:
        """The clause with this number, or one that says the same and has variables only in its head, all different."""
        if number not in self._without_constants:
            self._without_constants[number] = self._rewritten(number, self.get_node(number))
        return self._without_constants[number]

    def _rewritten(self, number: int, node: Any) -> int:
        is_fact = type(node).__name__ == "fact"
        if not is_fact and type(node).__name__ != "clause":
            return number  # a predicate in Python
        varcount = 0 if is_fact else node.varcount
        arguments, equations = linear(node.args, varcount)
        if not equations:
            return number
        equal = self.get_builtin("=/2")
        goals = [self._call("=", pair, equal, node.location, None, None) for pair in equations]
        if not is_fact or node.probability is not None:
            called = self._only(node, number) if is_fact else number
            goals.append(self._call(node.functor, node.args, called, node.location, None, None))
        body = reduce(lambda below, goal: self._add_and_node(goal, below), map(self._append_node, reversed(goals)))
        varcount += len(equations)
        clause = self._clause(node.functor, tuple(arguments), None, body, varcount, {}, None, node.location)
        return int(self._append_node(clause))

    def _only(self, fact: Any, number: int) -> int:
        """A predicate that is this fact alone."""
        index = self._create_index(len(fact.args))
        index.append(number)
        return int(self._append_node(self._define(f"{fact.functor} {number}", len(fact.args), index, fact.location)))

    def _check_allowed(self, path: Path) -> None:
        name = f"library({path.stem})" if path.parent == LIBRARY else path
        if path in WRONG:
            raise UserError(f"the program loads {name}, but {WRONG[path]}")
        folder = Path(self.source_root).resolve()
        allowed = path in ALLOWED or (folder in path.parents and path.suffix in ENDINGS)
        if not allowed and not self.trusted:
            raise UserError(
                f"the program loads {name}, but only libraries of ProbLog and {' or '.join(ENDINGS)} files from the "
                "program's folder can't run any code on this machine: pass trust=True, or --trust, if you trust it"
            )

    def _scope_term(self, term: Term, scope: str | None) -> Term:
        """The term with its module's name; a copy, as ProbLog would rename what other programs load, too."""
        if scope is None or term.signature in self.builtins or term.functor == "_directive":
            return term
        return Term(
            f"_{scope}_{term.functor}",
            *term.args,
            p=term.probability,
            location=term.location,
            priority=term.op_priority,
            opspec=term.op_spec,
        )


def _own_file(path: Path, number: int) -> tuple[list[int], list[Any]]:
    """The ends of the lines of one of the program's files, and its statements, checked."""
    source = Source(read_text(path), path.name, path.parent, number=number)
    program = Program(source)
    if program.declarations or program.parameters:
        raise UserError(f"{path.name}: neural predicates and learnable probabilities must stand in the program itself")
    return source.parsed.line_info[0], program.statements


@cache
def _library(path: Path, number: int) -> tuple[list[int], list[Any]]:
    """The ends of the lines and the statements of a library of ProbLog, parsed once a process: nothing changes them."""
    parsed = parse(path.read_text(encoding="utf-8"), path.name, number=number)
    return parsed.line_info[0], list(parsed)


class _Exports:
    """Stands in for a database while one of ProbLog's own libraries in Python registers its predicates."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, int], Callable[..., Any]] = {}

    def add_extern(self, name: str, arity: int, function: Callable[..., Any], scope: str | None = None) -> None:
        self.found[name, arity] = OURS.get((str(scope), name, arity), function)


def _exports(path: Path) -> dict[tuple[str, int], Callable[..., Any]]:
    """The predicates of one of ProbLog's own libraries in Python."""
    exports = _Exports()
    latest, problog_export.database = problog_export.database, exports
    try:
        SourceFileLoader(path.stem, str(path)).exec_module(ModuleType(path.stem))
    finally:
        problog_export.database = latest
    return exports.found


EXPORTS = {path: _exports(path) for path in ALLOWED if path.suffix == ".py"}  # now, before any thread may load others
