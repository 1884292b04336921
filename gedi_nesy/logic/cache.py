"""Compiled rules on disk, by the hash of everything they depend on."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from gedi_nesy.files import read_regular, write_atomically
from gedi_nesy.logic.compiled import Compiled
from gedi_nesy.logic.diagram import TRUE, Diagram
from gedi_nesy.logic.ground import Argument, Fact, GroundProgram, Variable
from gedi_nesy.logic.program import Program
from gedi_nesy.logic.query import Query

FORMAT = 5  # raise it when what is stored changes

Rule = tuple[GroundProgram, Compiled]


def cached(program: Program, query: Query, compile_rule: Callable[[], Rule]) -> Rule:
    """Read the rule from the cache, or compile and store it.

    Each entry is written to a file of its own and renamed into place, so that concurrent writers don't meet. A rule is
    compiled anew if its entry is not whole or a consulted file has changed.

    Args:
        program: the program.
        query: the goal; the same image in two places is part of it.
        compile_rule: compiles it.
    """
    path = user_cache_path("gedi-nesy") / "rules" / f"{rule_key(program, query)}.json"
    folder = program.source.folder.resolve()
    try:
        digest, content = read_regular(path).split(b"\n", 1)
        if digest.decode() == _hash(content):
            entry = json.loads(content)
            if all(_hash(read_regular(folder / file)) == digest for file, digest in entry["consulted"].items()):
                return _rule_from(entry, folder)
    except (AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError):
        pass  # not there, not readable, or not made by us
    rule = compile_rule()
    _store(path, _entry_of(*rule, folder))
    return rule


def rule_key(program: Program, query: Query) -> str:
    """The hash of everything that a compiled rule depends on, but for the files that its program loads."""
    packages = [version(package) for package in ("gedi-nesy", "deepproblog", "problog")]
    parts = [
        FORMAT,
        packages,
        program.source.text,
        str(query.goal),
        query.arguments,
        query.lengths,
        list(query.evidence),
    ]
    return _hash(json.dumps(parts).encode())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _store(path: Path, entry: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(entry).encode()
        write_atomically(path, _hash(content).encode() + b"\n" + content)  # a flipped bit could be another rule
    except OSError as error:
        warnings.warn(f"the compiled rule was not stored in {path.parent}: {error}", stacklevel=2)


def _entry_of(ground: GroundProgram, compiled: Compiled, folder: Path) -> dict[str, Any]:
    diagram = compiled.nodes
    nodes = diagram.reachable([compiled.root, compiled.evidence])
    number = {0: 0, 1: 1} | {node: i for i, node in enumerate(nodes, TRUE + 1)}
    return {
        "consulted": {os.path.relpath(file, folder): _hash(read_regular(Path(file))) for file in ground.consulted},
        "variables": [asdict(variable) for variable in ground.variables],
        "facts": [asdict(fact) for fact in ground.facts],
        "nodes": ground.nodes,
        "arguments": [asdict(argument) for argument in ground.arguments],
        "ground_root": ground.root,
        "evidence": ground.evidence,
        "open_tests": ground.open_tests,
        "max_nodes": diagram.max_nodes,
        "diagram": [(diagram.level[node], [number[child] for child in diagram.children[node]]) for node in nodes],
        "order": compiled.order,
        "root": number[compiled.root],
        "evidence_root": number[compiled.evidence],
    }


def _rule_from(entry: dict[str, Any], folder: Path) -> Rule:
    consulted = tuple(str(folder / file) for file in entry["consulted"])
    records = ("variables", "facts", "arguments")
    entry = {name: _tuples(part) for name, part in entry.items() if name not in records} | {
        name: [{field: _tuples(value) for field, value in item.items()} for item in entry[name]] for name in records
    }
    ground = GroundProgram(
        tuple(Variable(**item) for item in entry["variables"]),
        tuple(Fact(**item) for item in entry["facts"]),
        tuple(Argument(**item) for item in entry["arguments"]),
        entry["nodes"],
        entry["ground_root"],
        entry["evidence"],
        consulted,
        entry["open_tests"],
    )
    diagram = Diagram([ground.sizes[variable] for variable in entry["order"]], entry["max_nodes"])
    for level, children in entry["diagram"]:
        diagram.node(level, children)
    return ground, Compiled(diagram, entry["order"], entry["root"], entry["evidence_root"])


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples they were."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
