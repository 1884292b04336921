"""What examples really hold of a rule's solutions, which may leave more readings open than all solutions together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gedi_nesy.data.npz import load_arrays
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Key, Value
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.evaluate import fit_to_rule
from gedi_nesy.nesy.joint import AnyLoader
from gedi_nesy.nesy.predictions import predict_log_probs
from gedi_nesy.nesy.queries import Rule
from gedi_nesy.nesy.table import read_arguments, read_lines

Support = dict[Key, Any]  # assignments, in the form of `Constraint.sample`
DRAWN = 2000  # solutions with a table's answers, and examples whose predictions are looked at
SURE = 0.9  # p of a predicted symbol that counts
HARDLY = 0.05  # the share of a symbol's frequency by the rule below which it hardly occurs
COMMON, RARE = 10, 0.1  # where assignments have 10 examples in the mean, one with less than a tenth is an error


def listed_support(path: Path, constraint: Constraint) -> Support:
    """The assignments in a CSV file: a column for each variable of the rule with its symbols, and for each argument.

    Raises:
        UserError: the file can't be read, or a symbol or value is none of the rule's.
    """
    columns = {variable.key: column_of(variable.key) for variable in constraint.variables}
    lines = read_lines(path, [*columns.values(), *constraint.arguments])
    support: Support = {}
    for variable in constraint.variables:
        names = [str(symbol) for symbol in variable.domain]
        column = [line[columns[variable.key]] for line in lines.values()]
        wrong = next((row for row, symbol in enumerate(column) if symbol not in names), None)
        if wrong is not None:
            raise UserError(
                f"{path}, line {list(lines)[wrong]}: {column[wrong]!r} is no symbol of {columns[variable.key]}, which "
                f"has {', '.join(names)}."
            )
        support[variable.key] = torch.tensor([names.index(symbol) for symbol in column])
    return support | read_arguments(path, constraint, lines)


def column_of(key: Key) -> str:
    """What a file calls a variable: X, or digits:X where several networks read X."""
    return key if isinstance(key, str) else ":".join(map(str, key))


def table_support(path: Path, constraint: Constraint) -> Support:
    """Solutions of the rule that have the answers in a table, whose images nobody has named: at most DRAWN of them.

    Raises:
        UserError: the table can't be read, or the rule has no arguments, so that the table says nothing of symbols.
    """
    if not constraint.arguments:
        raise UserError(
            f"{constraint.query.goal} has no arguments, so a table of images says nothing more of its symbols; write "
            "these into a file and give it as --support."
        )
    if path.suffix == ".npz":
        arrays = load_arrays(path)
        missing = [name for name in constraint.arguments if name not in arrays]
        if missing:
            raise UserError(f"{path} has no array {missing[0]}.")
        arguments = {name: arrays[name].tolist() for name in constraint.arguments}
    else:
        arguments = read_arguments(path, constraint, read_lines(path, list(constraint.arguments)))
    return _solutions_with(constraint, arguments)


def _solutions_with(constraint: Constraint, arguments: Mapping[str, list[Value]]) -> Support:
    """Solutions with these values of the arguments, drawn evenly over the answers."""
    numbers = constraint.number_arguments(arguments)
    assert numbers is not None, "the rule has arguments"
    distinct = numbers.unique(dim=0)
    answers = distinct.repeat(max(1, DRAWN // len(distinct)), 1)[:DRAWN]
    even = {
        variable.key: torch.full((len(answers), len(variable.domain)), 1 / len(variable.domain)).log()
        for variable in constraint.variables
    }
    drawn = constraint.sample_posterior(even, answers, generator=torch.Generator().manual_seed(0))
    return _support_of(constraint, drawn, answers)


def predicted_support(networks: nn.ModuleDict, constraint: Constraint, loader: Loader) -> Support | None:
    """The assignments that trained networks see in their training examples; no label is looked at.

    Those that break the rule, or of which a network is unsure, don't count; nor do rare ones beside common ones, which
    are errors that happen to satisfy the rule.

    Returns:
        None where there are none.
    """
    few = loader.some(DRAWN)
    fit = fit_to_rule(networks, constraint, few)
    answers = None if few.answers is None else few.answers.cpu()
    numbers = torch.stack([values.cpu() for values in fit.symbols.values()], 1)
    rows = numbers if answers is None else torch.cat([numbers, answers], 1)
    counted = ((fit.satisfied > 0) & (fit.sure >= SURE)).cpu()
    if not counted.any():
        return None
    distinct, counts = rows[counted].unique(dim=0, return_counts=True)
    if counts.float().mean() >= COMMON:
        distinct = distinct[counts >= RARE * counts.float().mean()]
    symbols = dict(zip(fit.symbols, distinct.unbind(1), strict=False))
    return _support_of(constraint, symbols, None if answers is None else distinct[:, numbers.shape[1] :])


def hardly_seen(networks: nn.ModuleDict, rule: Rule, loader: AnyLoader) -> list[str]:
    """The symbols that trained networks see in far fewer of their training inputs than the rule would have them.

    Where the prior is learned from what the networks say, they may read a rare symbol as another one for good.
    """
    few, marginals, names = loader.some(DRAWN), rule.marginals(), []
    batch = few.batch(torch.arange(len(few)))
    for network, calls in loader.calls.items():
        read = predict_log_probs(networks[network], batch.images[network]).argmax(-1)
        seen = read.bincount(minlength=len(calls[0].domain)).cpu()
        expected = torch.stack([len(batch.rows[call.key]) * marginals[call.key] for call in calls]).sum(0)
        rare = seen < HARDLY * expected
        names += [str(symbol) for symbol, is_rare in zip(calls[0].domain, rare.tolist(), strict=True) if is_rare]
    return names


def _support_of(constraint: Constraint, symbols: Mapping[Key, Tensor], answers: Tensor | None) -> Support:
    """Symbols and the numbers of the arguments' values, int64 [n, arguments], in the form of `Constraint.sample`."""
    values = [] if answers is None else [constraint.answer_of(row) for row in answers]
    assignments: Support = dict(symbols)
    return assignments | dict(zip(constraint.arguments, map(list, zip(*values, strict=True)), strict=False))
