"""How exact inference grows with the size of a rule: ours, and ProbLog's SDD with a limit on its time.

Run `python experiments/growth.py`, or with the start of some names, such as `addition` or `"XOR of 2"`: rows measured
before stay in experiments/results/inference_growth.json. All times are CPU time on one thread.
"""

import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from common import RESULTS, Script, write_result
from problog.formula import LogicDAG, LogicFormula
from problog.program import PrologString
from problog.sdd_formula import SDD

from gedi_nesy.logic.compile import compile_program
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.grounder import ground
from gedi_nesy.logic.program import Program, Source, find_program
from gedi_nesy.logic.query import Query

RESULT = RESULTS / "inference_growth.json"
BATCH, ROUNDS = 20, 7
BUDGET = 120.0  # seconds, ours


PUZZLE = "530070000600195000098000060800060003400803001700020006060000280000419005000080079"  # 51 cells are open


class Rule(NamedTuple):
    """A program, a query and its arguments, for which each example of a batch has random digits."""

    text: str
    query: str
    arguments: tuple[str, ...] = ()


def names(letter: str, count: int) -> str:
    """X1,X2,..."""
    return ",".join(f"{letter}{i}" for i in range(1, count + 1))


def rules() -> dict[str, Rule]:
    """Rules of growing size."""
    addition, sudoku = find_program("addition_multi").read_text(), find_program("sudoku").read_text()
    bits = find_program("parity").read_text().replace("[0,1,2,3,4,5,6,7,8,9]", "[0,1]")
    pick = find_program("all_different").read_text()
    found = {}
    for n in (1, 2, 4, 8, 16, 32, 64):
        query = f"addition([{names('X', n)}],[{names('Y', n)}],[{names('Z', n + 1)}])"
        found[f"addition, {n} digits"] = Rule(addition, query)
    sums = find_program("addition_digits").read_text()
    for n in (15, 100, 200, 500):
        query = f"addition([{names('X', n)}],[{names('Y', n)}],S)"
        found[f"sum of {n} digits, given"] = Rule(sums, query, (f"S:{n + 1}",))
    for n in (16, 32, 64, 128, 256):
        found[f"XOR of {n}"] = Rule(bits, f"parity([{names('X', n)}],1)")
    for n in range(4, 10):
        values = ",".join(map(str, range(n)))
        own = pick.replace("[0,1,2,3]", f"[{values}]")
        found[f"all different, {n}"] = Rule(own, f"pick([{names('X', n)}],[{values}])")
    found["sudoku, 4 by 4"] = Rule(sudoku, str(Constraint(sudoku).query.goal))
    found["sudoku, 9 by 9, 51 open"] = nine_by_nine(pick.replace("[0,1,2,3]", "[1,2,3,4,5,6,7,8,9]"))
    return found


def nine_by_nine(pick: str) -> Rule:
    """The puzzle, an image in each open cell: the images of a row, column or block show the digits it lacks."""
    cells = [f"C{i}" if PUZZLE[i] == "0" else PUZZLE[i] for i in range(81)]
    rows = [range(9 * r, 9 * r + 9) for r in range(9)]
    columns = [range(c, 81, 9) for c in range(9)]
    blocks = [[9 * (b // 3 * 3 + i) + b % 3 * 3 + j for i in range(3) for j in range(3)] for b in range(9)]
    goals = []
    for group in [*rows, *columns, *blocks]:
        lacking = [digit for digit in "123456789" if digit not in {PUZZLE[i] for i in group}]
        goals.append(f"pick([{','.join(cells[i] for i in group if PUZZLE[i] == '0')}],[{','.join(lacking)}])")
    solved = f"solved({','.join(cell for cell in cells if cell.startswith('C'))})"
    return Rule(f"{pick}\n{solved} :- {', '.join(goals)}.\n", solved)


def ours(text: str, query: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Seconds to ground and to compile, nodes, and milliseconds forward and backward for a batch."""
    program = Program(Source(text, "the program", Path()))
    start = time.process_time()
    grounded = ground(program, Query(program, query, arguments), BUDGET)
    then = time.process_time()
    compile_program(grounded, 2_000_000, BUDGET)
    end = time.process_time()
    rule = Constraint(text, query, arguments, seconds=2 * BUDGET)
    given = {name: random_digits(len(rule.argument_values(name))) for name in rule.arguments}
    inputs = {v.key: torch.randn(BATCH, len(v.domain)).log_softmax(1).requires_grad_() for v in rule.variables}
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        rule.log_prob(inputs, given).sum().backward()
        times.append(1e3 * (time.process_time() - began))
    return {
        "ground_s": round(then - start, 3),
        "compile_s": round(end - then, 3),
        "ground_nodes": len(grounded.nodes),
        "nodes": rule.size,
        "first_batch_ms": round(times[0], 2),
        "batch_ms": round(statistics.median(times[1:]), 2),
    }


def random_digits(length: int) -> list[list[int]]:
    """A list that can be a sum's digits for each example of a batch."""
    digits = torch.randint(10, (BATCH, length))
    digits[:, 0] = torch.randint(2, (BATCH,))
    return digits.tolist()


def problog_sdd(text: str, query: str, limit: float) -> dict[str, Any]:
    """ProbLog's seconds to ground and to compile, and nodes, as far as it came within the limit."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_in_process, args=(text, query, limit, sender))
    process.start()
    sender.close()
    process.join()
    row: dict[str, Any] = {"sdd_ground_s": None, "sdd_compile_s": None, "sdd_nodes": None}
    for name in row:
        if receiver.poll():
            try:
                row[name] = receiver.recv()
            except EOFError:  # it was stopped
                break
    return row


def _in_process(text: str, query: str, limit: float, sender: Connection) -> None:
    """Each neural predicate is an annotated disjunction over its images."""
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + limit) + 1,) * 2)
    lines = [line for line in text.splitlines() if not line.startswith(("nn(", "query("))]
    head = next(line for line in text.splitlines() if line.startswith("nn("))
    values = head[head.index("Y, [") + 4 : head.index("]) ::")].split(",")
    lines.append("; ".join(f"{1 / len(values)} :: digit(X,{value})" for value in values) + ".")
    program = "\n".join([":- use_module(library(lists)).", *lines, f"query({query.lower()})."])
    start = time.process_time()
    formula = LogicFormula.create_from(PrologString(program))
    sender.send(round(time.process_time() - start, 3))
    start = time.process_time()
    sdd = SDD.create_from(LogicDAG.create_from(formula))
    sender.send(round(time.process_time() - start, 3))
    sender.send(sdd.get_manager().get_manager().count())


@click.command(cls=Script)
@click.argument("beginnings", metavar="[RULE]...", nargs=-1)
@click.option("--limit", default=60.0, show_default=True, help="Seconds of CPU time for ProbLog's SDD.")
def main(beginnings: tuple[str, ...], limit: float) -> None:
    """Measure, print and store the rules whose names begin so, or all of them."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name, (text, query, arguments) in rules().items():
        if name.startswith(beginnings or ""):
            row = ours(text, query, arguments) | ({} if arguments else problog_sdd(text, query, limit))
            print(f"{name:20}", "  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            store(name, row, limit)


def store(name: str, row: dict[str, Any], limit: float) -> None:
    """Add a row to the results."""
    known = json.loads(RESULT.read_text())["rules"] if RESULT.exists() else {}
    rows = {rule: row if rule == name else known.get(rule) for rule in rules() if rule == name or rule in known}
    write_result(RESULT, {"sdd_limit_s": limit, "batch": BATCH, "rules": rows})


if __name__ == "__main__":
    main()
