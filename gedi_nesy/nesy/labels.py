"""A few labelled inputs beside the rule: they teach the networks, and settle which of several readings is meant."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gedi_nesy.data.inputs import FEATURES, as_inputs, named_vectors, read_picture
from gedi_nesy.data.npz import load_arrays
from gedi_nesy.errors import UserError
from gedi_nesy.logic.ground import Variable
from gedi_nesy.nesy.inputs import describe_shape
from gedi_nesy.nesy.queries import Rule
from gedi_nesy.nesy.reading import Readings
from gedi_nesy.nesy.table import in_line, read_lines

COLUMNS = ["image", "symbol"]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled inputs of one network.

    Attributes:
        inputs: as they were given, uint8 [m, C, H, W] or float32 [m, D].
        symbols: the number of each one's symbol in the network's domain, int64 [m].
        domain: how many symbols there are.
        features: of each one, where they are known, float32 [m, D]; for matching by features.
    """

    inputs: Tensor
    symbols: Tensor
    domain: int
    features: Tensor | None = None

    @property
    def one_hot(self) -> Tensor:
        """The symbols as one-hot rows, [m, classes]."""
        return F.one_hot(self.symbols, self.domain).float()

    @property
    def covers(self) -> bool:
        """Whether all symbols but one have an example, so that no other reading is left."""
        return len(self.symbols.unique()) >= self.domain - 1


Labels = Mapping[str, Labelled]  # by the network's name in the program


def read_labels(path: Path, rule: Rule, readings: Readings, features: Path | None = None) -> dict[str, Labelled]:
    """Labelled inputs from a CSV file with columns image and symbol, or an .npz file with arrays of these names.

    In the CSV file an image is the path of an image file, relative to it, which is scaled to what the network reads. A
    third column, network, is needed where the rule has several. Features of these images stand under the same names in
    the feature file; in an .npz file they may be a third array.

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
    rows_of: dict[str, list[tuple[str, Tensor, int]]] = {}
    for number, line in lines.items():
        where = f"{path}, line {number}"
        name = line["network"] if several else next(iter(calls))
        if name not in calls:
            raise UserError(f"{where}: the rule has no network {name!r}; it calls {', '.join(calls)}.")
        if readings[name].is_vector:
            raise UserError(f"{where}: {name} reads vectors; give an .npz file with {' and '.join(COLUMNS)}.")
        channels, height, width = readings[name].shape
        with in_line(path, number):
            picture = read_picture(path.parent / line["image"], (height, width), channels)
        rows_of.setdefault(name, []).append((line["image"], picture, _number(line["symbol"], calls[name], where)))
    labels = {}
    for name, rows in rows_of.items():
        files, pictures, symbols = zip(*rows, strict=True)
        vectors = named_vectors(features, files) if features else None
        labels[name] = Labelled(torch.stack(pictures), torch.tensor(symbols), len(calls[name].domain), vectors)
    return labels


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
    features = as_inputs(f"{path}: {FEATURES}", arrays[FEATURES]) if FEATURES in arrays else None
    if features is not None and (features.dim() != 2 or len(features) != len(symbols)):
        raise UserError(f"{path}: {FEATURES} is {list(features.shape)}; give [{len(symbols)}, D].")
    return {name: Labelled(inputs, torch.tensor(symbols), len(call.domain), features)}


def _number(symbol: str, call: Variable, where: str) -> int:
    names = [str(value) for value in call.domain]
    if symbol not in names:
        raise UserError(f"{where}: {symbol!r} is no symbol of {call.network}, which has {', '.join(names)}.")
    return names.index(symbol)
