"""What `symbols.py` trains on: inputs of many kinds, a rule that holds in each example, and labelled test inputs."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gedi_nesy.data import Images, load_images
from gedi_nesy.data.npz import read_npz
from gedi_nesy.data.operators import with_operators

RULES = Path(__file__).parent / "rules"
DIGITS = tuple(map(str, range(10)))
COLOURED, DRAWN = 40, 40  # pixels a side, of coloured digits and of operators that are larger than digits
LETTERS_TRAIN = 8000  # of notMNIST's 10,000; the others are for tests
TWICE = (3, 4)  # the two digits that are EIGHT times as common as the others
EIGHT = 8.0
# rsbench's MNAdd-EvenOdd: pairs and their swaps
EVEN_ODD = ((0, 6), (2, 8), (4, 6), (4, 8), (1, 5), (3, 7), (1, 9), (3, 9))


@dataclass(frozen=True, eq=False)
class Inputs:
    """Labelled inputs of one of a rule's networks.

    Attributes:
        x, y: training inputs, uint8 [n, C, H, W] or float [n, D], and the number of each one's symbol, [n].
        x_test, y_test: the same for tests.
        features: of the training inputs where likeness goes by them, [n, D].
    """

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    features: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """What is learned.

    Attributes:
        inputs: for each network.
        reads: for each image of the query the network that reads it.
        solutions: draws n solutions: for each image the numbers of its symbols, [n], for each argument its n values.
        program, query, arguments: the rule.
        settings: of `gn.train`, beside the rule.
        broken: share of the examples in which the last image is one of any other symbol.
        labelled: labelled inputs of each symbol beside the rule.
        ceiling: the network that is taught with labels on the same images, if any.
    """

    inputs: Mapping[str, Inputs]
    reads: Mapping[str, str]
    solutions: Callable[[int, torch.Generator], dict[str, Any]]
    program: str = "addition"
    query: str | None = None
    arguments: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    broken: float = 0.0
    labelled: int = 0
    ceiling: str | None = None


@dataclass(frozen=True, eq=False)
class Drawn:
    """N examples of a task.

    Attributes:
        data: what `gn.train` takes.
        broken: the numbers of the examples that break the rule.
        used: for each network the rows of its training inputs that examples use, [n].
        labels: for each network the rows of the labelled inputs.
    """

    data: dict[str, Any]
    broken: list[int]
    used: dict[str, Tensor]
    labels: dict[str, Tensor]


def draw(task: Task, n: int, seed: int) -> Drawn:
    """Examples; an input is used once, where there are enough of its symbol."""
    generator = torch.Generator().manual_seed(seed)
    solved = task.solutions(n, generator)
    symbols = {image: solved[image] for image in task.reads}
    broken = _break(task, symbols, generator)
    pools = {name: _by_symbol(inputs.y, generator) for name, inputs in task.inputs.items()}
    labels = {name: torch.cat([_take(pool, k, task.labelled) for k in pool]) for name, pool in pools.items()}
    data: dict[str, Any] = {name: solved[name] for name in solved if name not in task.reads}
    used: dict[str, list[Tensor]] = {name: [] for name in task.inputs}
    for image, name in task.reads.items():
        rows = torch.cat([_take(pools[name], k, 1) for k in symbols[image].tolist()])
        inputs = task.inputs[name]
        data[image] = inputs.x[rows]
        if inputs.features is not None:
            data[f"{image}_features"] = inputs.features[rows]
        used[name].append(rows)
    return Drawn(data, broken, {name: torch.cat(rows) for name, rows in used.items()}, labels)


def _break(task: Task, symbols: dict[str, Tensor], generator: torch.Generator) -> list[int]:
    """Give some examples another last symbol, and say which."""
    image = list(task.reads)[-1]
    n, classes = len(symbols[image]), int(task.inputs[task.reads[image]].y.max()) + 1
    chosen = torch.randperm(n, generator=generator)[: round(task.broken * n)]
    other = torch.randint(1, classes, (len(chosen),), generator=generator)
    symbols[image] = symbols[image].clone()
    symbols[image][chosen] = (symbols[image][chosen] + other) % classes
    return sorted(chosen.tolist())


def _by_symbol(y: Tensor, generator: torch.Generator) -> dict[int, list[int]]:
    """The rows of each symbol in a random order."""
    order = torch.randperm(len(y), generator=generator)
    return {k: order[y[order] == k].tolist() for k in y.unique().tolist()}


def _take(pool: dict[int, list[int]], symbol: int, n: int) -> Tensor:
    """The next n rows of a symbol, [n]; they go behind the others."""
    rows, pool[symbol] = pool[symbol][:n], pool[symbol][n:] + pool[symbol][:n]
    return torch.tensor(rows, dtype=torch.long)


def listed(rows: Sequence[Mapping[str, Any]], images: Sequence[str], weights: Sequence[float] | None = None) -> Any:
    """Solutions drawn from a list, with weights or all alike."""
    shares = torch.tensor(weights or [1.0] * len(rows))

    def solutions(n: int, generator: torch.Generator) -> dict[str, Any]:
        drawn = [rows[k] for k in torch.multinomial(shares, n, replacement=True, generator=generator).tolist()]
        columns = {name: [row[name] for row in drawn] for name in rows[0]}
        return {name: torch.tensor(values) if name in images else values for name, values in columns.items()}

    return solutions


def _triples(weights: Sequence[float] | None = None, weighted: str = "XYZ") -> Any:
    """a + b = c; each digit of those that are weighted has a weight."""
    w = weights or [1.0] * 10
    rows = [{"X": a, "Y": b, "Z": a + b} for a, b in product(range(10), repeat=2) if a + b < 10]
    return listed(rows, "XYZ", [prod(w[row[image]] for image in weighted) for row in rows])


def addition(inputs: Inputs, weights: Sequence[float] | None = None, weighted: str = "XYZ", **more: Any) -> Task:
    """Triples of inputs whose third symbol is the sum of the others; each symbol of those weighted has a weight."""
    return Task({"digits": inputs}, dict.fromkeys("XYZ", "digits"), _triples(weights, weighted), **more)


@functools.cache
def _mnist(data_dir: Path | None) -> Inputs:
    return _inputs(load_images("mnist", data_dir))


def _inputs(images: Images) -> Inputs:
    return Inputs(images.x_train, images.y_train, images.x_test, images.y_test)


@functools.cache
def _vectors(features: Path) -> Inputs:
    return _inputs(read_npz(features))


@functools.cache
def _photographs(pixels: Path, features: Path, matched: bool) -> Inputs:
    """CIFAR-10's pixels, of those images that there are features of."""
    images, vectors = read_npz(pixels), read_npz(features)
    n, m = len(vectors.x_train), len(vectors.x_test)
    beside = vectors.x_train if matched else None
    return Inputs(images.x_train[:n], images.y_train[:n], images.x_test[:m], images.y_test[:m], beside)


@functools.cache
def _letters(data_dir: Path | None) -> Inputs:
    images = load_images("notmnist", data_dir)
    order = torch.randperm(len(images.x_test), generator=torch.Generator().manual_seed(0))
    train, test = order[:LETTERS_TRAIN], order[LETTERS_TRAIN:]
    return Inputs(images.x_test[train], images.y_test[train], images.x_test[test], images.y_test[test])


@functools.cache
def _coloured(data_dir: Path | None) -> Inputs:
    """MNIST's digits, the first 10,000 and the test set, each in a colour of its own on a ground of its own."""
    mnist, generator = _mnist(data_dir), torch.Generator().manual_seed(0)
    train = _colour(mnist.x[:10_000], generator)
    return Inputs(train, mnist.y[:10_000], _colour(mnist.x_test, generator), mnist.y_test)


def _colour(x: Tensor, generator: torch.Generator) -> Tensor:
    """Grey pictures [n, 1, H, W] as coloured ones; ink and ground differ by 80 levels or more."""
    ink = F.interpolate(x.float() / 255, size=(COLOURED, COLOURED), mode="bilinear", align_corners=False)
    colours = torch.rand(2, len(x), 3, 1, 1, generator=generator) * 255
    while (close := (colours[0] - colours[1]).abs().mean(1).flatten() < 80).any():
        colours[:, close] = torch.rand(2, int(close.sum()), 3, 1, 1, generator=generator) * 255
    return (colours[0] * (1 - ink) + colours[1] * ink).round().byte()


@functools.cache
def _operators(data_dir: Path | None) -> Inputs:
    """+, - and * at DRAWN pixels a side."""
    images = with_operators(load_images("mnist", data_dir))
    train, test = images.y_train >= 10, images.y_test >= 10
    x, x_test = (
        F.interpolate(some.float(), size=(DRAWN, DRAWN), mode="bilinear", align_corners=False).byte()
        for some in (images.x_train[train], images.x_test[test])
    )
    return Inputs(x, images.y_train[train] - 10, x_test, images.y_test[test] - 10)


def _operation(data_dir: Path | None) -> Task:
    values = {0: lambda a, b: a + b, 1: lambda a, b: a - b, 2: lambda a, b: a * b}
    rows = [{"X": a, "O": o, "Y": b, "V": values[o](a, b)} for a, o, b in product(range(10), range(3), range(10))]
    inputs = {"digits": _mnist(data_dir), "operators": _operators(data_dir)}
    reads = {"X": "digits", "O": "operators", "Y": "digits"}
    return Task(inputs, reads, listed(rows, "XOY"), str(RULES / "operation.pl"), arguments=("V",))


def _distance(data_dir: Path | None) -> Task:
    rows = [{"X": a, "Y": b, "N": b - a} for a, b in product(range(10), repeat=2)]
    return Task(
        {"letters": _letters(data_dir)},
        dict.fromkeys("XY", "letters"),
        listed(rows, "XY"),
        str(RULES / "distance.pl"),
        arguments=("N",),
    )


def _parity(data_dir: Path | None) -> Task:
    rows = [dict(zip("ABCD", four, strict=True)) for four in product(range(10), repeat=4) if sum(four) % 2 == 0]
    reads = dict.fromkeys("ABCD", "digits")
    return Task({"digits": _mnist(data_dir)}, reads, listed(rows, "ABCD"), "parity", labelled=1)


def _less(data_dir: Path | None) -> Task:
    rows = [{"X": a, "Y": b} for a, b in product(range(10), repeat=2) if a < b]
    return Task({"digits": _mnist(data_dir)}, dict.fromkeys("XY", "digits"), listed(rows, "XY"), "less", labelled=1)


def _even_odd(data_dir: Path | None) -> Task:
    pairs = [*EVEN_ODD, *((b, a) for a, b in EVEN_ODD)]
    rows = [{"X": a, "Y": b, "S": a + b} for a, b in pairs]
    return Task(
        {"digits": _mnist(data_dir)},
        dict.fromkeys("XY", "digits"),
        listed(rows, "XY"),
        "addition_sum",
        arguments=("S",),
        settings=LEARNED,  # of the sums that are seen
        labelled=1,
    )


ZIPF = [1 / (k + 1) for k in range(10)]
TWO = [EIGHT if k in TWICE else 1.0 for k in range(10)]
LEARNED = {"train.prior": "learned"}


@dataclass(frozen=True)
class Where:
    """Where the data lie.

    Attributes:
        data_dir: of named data sets.
        features: CIFAR-10's features, as `features.py` writes them.
        pixels: CIFAR-10 itself, in the same order.
    """

    data_dir: Path | None
    features: Path | None
    pixels: Path | None


def _features(where: Where) -> Task:
    return addition(_vectors(where.features), ceiling="mlp-256")


def _pixels(where: Where, matched: bool) -> Task:
    inputs = _photographs(where.pixels, where.features, matched)
    return addition(inputs, ceiling="resnet8-32", settings={"network": "resnet8-32"})


def _skewed(where: Where, weights: Sequence[float] | None = None, broken: float = 0.0, weighted: str = "XYZ") -> Task:
    settings = LEARNED if weights else {}
    return addition(_mnist(where.data_dir), weights, weighted, broken=broken, settings=settings)


SETTINGS: Mapping[str, tuple[int, Callable[[Where], Task]]] = {  # how many examples, and the task
    "features-1000": (1000, _features),
    "features-300": (300, _features),
    "features-100": (100, _features),
    "parity": (1000, lambda where: _parity(where.data_dir)),
    "even-odd": (1000, lambda where: _even_odd(where.data_dir)),
    "less": (1000, lambda where: _less(where.data_dir)),
    "clean": (1000, _skewed),
    "zipf": (1000, lambda where: _skewed(where, ZIPF, weighted="XY")),  # the sum is as common as it comes
    "zipf-thrice": (1000, lambda where: _skewed(where, ZIPF)),
    "two-classes": (1000, lambda where: _skewed(where, TWO)),
    "broken-5": (1000, lambda where: _skewed(where, broken=0.05)),
    "broken-10": (1000, lambda where: _skewed(where, broken=0.10)),
    "broken-20": (1000, lambda where: _skewed(where, broken=0.20)),
    "colours": (1000, lambda where: addition(_coloured(where.data_dir))),
    "letters": (1000, lambda where: _distance(where.data_dir)),
    "operators": (1000, lambda where: _operation(where.data_dir)),
    "pixels-matched": (1000, lambda where: _pixels(where, True)),
    "pixels-alone": (1000, lambda where: _pixels(where, False)),
}
