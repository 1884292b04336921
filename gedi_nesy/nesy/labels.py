"""A few labelled inputs beside the rule: they teach the networks, and settle which of several readings is meant."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gedi_nesy.data.inputs import as_inputs, read_picture
from gedi_nesy.data.npz import load_arrays
from gedi_nesy.errors import UserError
from gedi_nesy.logic.ground import Variable
from gedi_nesy.nesy.inputs import describe_shape
from gedi_nesy.nesy.queries import Rule
from gedi_nesy.nesy.reading import Readings
from gedi_nesy.nesy.table import read_lines

COLUMNS = ["image", "symbol"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled inputs of one network.

    Attributes:
        inputs: as they were given, uint8 [m, C, H, W] or float32 [m, D].
        symbols: the number of each one's symbol in the network's domain, int64 [m].
        domain: how many symbols there are.
    """

    inputs: Tensor
    symbols: Tensor
    domain: int

    @property
    def one_hot(self) -> Tensor:
        """The symbols as one-hot rows, [m, classes]."""
        return F.one_hot(self.symbols, self.domain).float()

    @property
    def covers(self) -> bool:
        """Whether all symbols but one have an example, so that no other reading is left."""
        return len(self.symbols.unique()) >= self.domain - 1


Labels = Mapping[str, Labelled]  # by the network's name in the program


def read_labels(path: Path, rule: Rule, readings: Readings) -> dict[str, Labelled]:
    """Labelled inputs from a CSV file with columns image and symbol, or an .npz file with arrays of these names.

    In the CSV file an image is the path of an image file, relative to it, which is scaled to what the network reads. A
    third column, network, is needed where the rule has several.

    Raises:
        UserError: a file can't be read, or a symbol or network is none of the rule's.
    """
    calls = {call.network: call for call in rule.variables}
    for call in calls.values():
        if len(call.inputs) > 1:
            raise UserError(f"{call.network} reads several images at once, so no label says what one of them shows.")
    if path.suffix == ".npz":
        return _from_arrays(path, calls, readings)
    several = len(calls) > 1
    lines = read_lines(path, [*COLUMNS, "network"] if several else COLUMNS)
    rows_of: dict[str, list[tuple[Tensor, int]]] = {}
    for number, line in lines.items():
        where = f"{path}, line {number}"
        name = line["network"] if several else next(iter(calls))
        if name not in calls:
            raise UserError(f"{where}: the rule has no network {name!r}; it calls {', '.join(calls)}.")
        if readings[name].is_vector:
            raise UserError(f"{where}: {name} reads vectors; give an .npz file with {' and '.join(COLUMNS)}.")
        channels, height, width = readings[name].shape
        picture = read_picture(path.parent / line["image"], (height, width), channels)
        rows_of.setdefault(name, []).append((picture, _number(line["symbol"], calls[name], where)))
    return {
        name: Labelled(torch.stack([x for x, _ in rows]), torch.tensor([y for _, y in rows]), len(calls[name].domain))
        for name, rows in rows_of.items()
    }


def _from_arrays(path: Path, calls: Mapping[str, Variable], readings: Readings) -> dict[str, Labelled]:
    (name, call), *others = calls.items()
    arrays = load_arrays(path)
    if others or not set(COLUMNS) <= set(arrays):
        raise UserError(f"{path} must have arrays {' and '.join(COLUMNS)}, for a rule with a single network.")
    inputs = as_inputs(f"{path}: image", arrays["image"])
    symbols = [_number(str(value), call, f"{path}, row {k + 1}") for k, value in enumerate(arrays["symbol"].tolist())]
    if tuple(inputs.shape[1:]) != readings[name].shape or len(inputs) != len(symbols):
        wanted = f"{describe_shape(readings[name].shape)} for each of the {len(symbols)} symbols"
        raise UserError(f"{path}: image is {list(inputs.shape)}; give {wanted}.")
    return {name: Labelled(inputs, torch.tensor(symbols), len(call.domain))}


def _number(symbol: str, call: Variable, where: str) -> int:
    names = [str(value) for value in call.domain]
    if symbol not in names:
        raise UserError(f"{where}: {symbol!r} is no symbol of {call.network}, which has {', '.join(names)}.")
    return names.index(symbol)
