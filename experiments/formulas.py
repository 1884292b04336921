"""Hand-written formulas of 1, 3, 5 and 7 symbols, of which only the values are known, in one run.

    python experiments/formulas.py hwf --seeds 700-704
    python experiments/formulas.py whole --seeds 700-704
    python experiments/formulas.py hwf --files DATA/hwf --seeds 700-704

`hwf` has HWF's symbols (Li et al., ICML 2020), digits 1 to 9 and +, -, *, /; `whole` has digits 0 to 9 and no
division. Without --files, formulas are made of MNIST's digits and of operators drawn by a program. With it, they are
read in HWF's format: expr_train.json and expr_test.json, and the images, 45x45 and grey, in Handwritten_Math_Symbols.
The rule has every length as a query of its own. The figures of each run are added to the result when it ends; a seed
that is there is not run again.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import torch
from common import (
    FILE,
    RESULTS,
    Script,
    add_run,
    finished_runs,
    is_finished,
    runs_option,
    seeds_option,
    settings_option,
)
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

import gedi_nesy as gn
from gedi_nesy.data import Images, load_images
from gedi_nesy.data.operators import SLASH, STROKES, with_operators
from gedi_nesy.nesy.train import resume

LENGTHS = 1, 3, 5, 7  # symbols of a formula
OPERATOR_IMAGES = 5000, 1000  # of each operator, for training and for tests
TEST = 500  # formulas of each length
COMPILING = 600.0  # seconds, at most
NEAR = Fraction(1, 1000)  # a value that is nearer than this is right (NGS)
PUBLISHED: dict[
    str, dict[int | str, float]
] = {  # ABLkit's README: accuracy on the test formulas, in percent, of methods that train on HWF up to a length
    "NGS": {1: 91.2, 3: 89.1, 5: 92.7, 7: 5.2, "all": 98.4},
    "DeepProbLog": {1: 90.8, 3: 85.6},
    "DeepStochLog": {1: 92.8, 3: 87.5, 5: 92.1},
    "ABL": {1: 94.0, 3: 89.7, 5: 96.5, 7: 97.2, "all": 99.2},
}


@dataclass(frozen=True)
class Kind:
    """A kind of formulas: its rule, the argument that is their value, and its symbols."""

    program: str
    argument: str
    digits: str
    operators: str

    def written(self, value: Fraction) -> int | list[int]:
        """A value as the rule has it."""
        return [value.numerator, value.denominator] if "/" in self.operators else int(value)


KINDS = {
    "hwf": Kind(str(Path(__file__).parent / "rules" / "hwf.pl"), "V:2", "123456789", "+-*/"),
    "whole": Kind("formula", "V", "0123456789", "+-*"),
}


@dataclass(frozen=True, eq=False)
class Formulas:
    """Formulas of one length.

    Attributes:
        images: uint8 [formulas, symbols, 1, H, W].
        texts: what they show, as "3+4*2".
    """

    images: Tensor
    texts: list[str]

    @property
    def values(self) -> list[Fraction]:
        """Of each formula."""
        return list(map(value_of, self.texts))


def value_of(text: str) -> Fraction:
    """The value of a formula of single digits: products and quotients first, each from left to right."""
    total, term = Fraction(0), Fraction(int(text[0]))
    for operator, digit in zip(text[1::2], text[2::2], strict=True):
        if operator == "*":
            term *= int(digit)
        elif operator == "/":
            term /= int(digit)
        else:
            total, term = total + term, Fraction(int(digit) if operator == "+" else -int(digit))
    return total + term


def draw_formulas(
    kind: Kind, images: Tensor, labels: Tensor, classes: Sequence[str], counts: Mapping[int, int], seed: int
) -> dict[int, Formulas]:
    """Formulas of random symbols by their length; an image serves again only when all of its class have.

    Args:
        kind: whose symbols.
        images: uint8 [n, 1, H, W].
        labels: class of each image, int64 [n].
        classes: the name of each class.
        counts: how many formulas of each length.
        seed: of the symbols and the order of the images.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    stock = {name: order[labels[order] == k] for k, name in enumerate(classes)}
    used = dict.fromkeys(classes, 0)
    drawn = {}
    for length, n in counts.items():
        columns = [kind.operators if place % 2 else kind.digits for place in range(length)]
        picks = torch.stack([torch.randint(len(own), (n,), generator=generator) for own in columns], 1)
        texts = ["".join(own[k] for own, k in zip(columns, row, strict=True)) for row in picks.tolist()]
        rows = torch.empty(n, length, dtype=torch.long)
        for k, text in enumerate(texts):
            for place, symbol in enumerate(text):
                rows[k, place] = stock[symbol][used[symbol] % len(stock[symbol])]
                used[symbol] += 1
        drawn[length] = Formulas(images[rows], texts)
    return drawn


def read_hwf(folder: Path, split: str) -> dict[int, Formulas]:
    """The formulas of a split of HWF, "train" or "test", by their length.

    Raises:
        OSError: a file is missing.
    """
    pictures: dict[str, Tensor] = {}
    found: dict[int, list[tuple[Tensor, str]]] = {}
    for one in json.loads((folder / f"expr_{split}.json").read_text()):
        for name in one["img_paths"]:
            if name not in pictures:
                with Image.open(folder / "Handwritten_Math_Symbols" / name) as image:
                    pictures[name] = pil_to_tensor(image.convert("L"))
        shown = torch.stack([pictures[name] for name in one["img_paths"]])
        found.setdefault(len(one["expr"]), []).append((shown, one["expr"]))
    return {n: Formulas(torch.stack([x for x, _ in own]), [text for _, text in own]) for n, own in found.items()}


def names(length: int) -> list[str]:
    """The variables of a formula's images."""
    return [f"{'O' if place % 2 else 'X'}{place // 2 + 1}" for place in range(length)]


def as_data(kind: Kind, formulas: Formulas) -> dict[str, Any]:
    """What `gn.train` takes: the images of each place, and the values."""
    columns = dict(zip(names(formulas.images.shape[1]), formulas.images.unbind(1), strict=True))
    return columns | {"V": list(map(kind.written, formulas.values))}


def trained(kind: Kind, formulas: Mapping[int, Formulas], seed: int, settings: dict[str, Any], folder: Path) -> gn.Run:
    """The run in the folder: trained, resumed or kept."""
    if (folder / "summary.json").exists():
        return gn.load_run(folder)
    if (folder / "config.toml").exists():
        return resume(folder, progress=False)
    rule: dict[str, Any] = {"program": kind.program, "arguments": [kind.argument]}
    rule["query"] = [f"formula([{','.join(names(length))}],V)" for length in formulas]
    for query in rule["query"]:  # HWF's 7 symbols take more than the engine's usual budget; then they are in its cache
        gn.Constraint.from_file(kind.program, query, rule["arguments"], seconds=COMPILING)
    data = [as_data(kind, own) for own in formulas.values()]
    return gn.train(data=data, out=folder, seed=seed, progress=False, notify=click.echo, **rule | settings)


def read(run: gn.Run, formulas: Formulas) -> list[str]:
    """The most probable symbols of each formula, as a text."""
    columns = []
    for place, images in enumerate(formulas.images.unbind(1)):
        network = "operators" if place % 2 else "digits"
        domain = run.domains[network]
        columns.append([str(domain[k]) for k in run.log_probs(images, network).argmax(-1).tolist()])
    return ["".join(row) for row in zip(*columns, strict=True)]


def score(run: gn.Run, tests: Mapping[int, Formulas]) -> dict[str, Any]:
    """The share of values that are right, of each length and of all, and the share of symbols."""
    right: dict[int, list[bool]] = {}
    symbols: list[bool] = []
    for length, formulas in tests.items():
        seen = read(run, formulas)
        right[length] = [abs(value_of(a) - value_of(b)) < NEAR for a, b in zip(seen, formulas.texts, strict=True)]
        symbols += [a == b for pair in zip(seen, formulas.texts, strict=True) for a, b in zip(*pair, strict=True)]
    every = [one for own in right.values() for one in own]
    shares = {f"accuracy_{length}": round(sum(own) / len(own), 4) for length, own in right.items()}
    return {"accuracy": round(sum(every) / len(every), 4), **shares, "symbols": round(sum(symbols) / len(symbols), 4)}


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Mean accuracy in percent by length, as Markdown, above the published figures, which are of real HWF."""
    columns: list[int | str] = [*LENGTHS, "all"]
    keys = {n: "accuracy" if n == "all" else f"accuracy_{n}" for n in columns}
    ours: dict[int | str, float] = {n: round(100 * sum(run[keys[n]] for run in runs) / len(runs), 1) for n in columns}
    rows = {f"gedi-nesy ({len(runs)} seeds)": ours} | {f"{name}, on HWF": known for name, known in PUBLISHED.items()}
    lines = [f"| | {' | '.join(map(str, columns))} |", f"| --- {'| --- ' * len(columns)}|"]
    lines += [f"| {name} | {' | '.join(str(known.get(n, '')) for n in columns)} |" for name, known in rows.items()]
    return "\n".join(lines)


def sources(
    kind: Kind, files: Path | None, data_dir: Path | None, examples: int, seed: int
) -> list[dict[int, Formulas]]:
    """The training and the test formulas, by length."""
    if files:
        train, test = read_hwf(files, "train"), read_hwf(files, "test")
        return [train, test]
    images: Images = with_operators(load_images("mnist", data_dir), *OPERATOR_IMAGES, STROKES | SLASH)
    shown, counts = images.classes, dict.fromkeys(LENGTHS, examples // len(LENGTHS))
    return [
        draw_formulas(kind, images.x_train, images.y_train, shown, counts, seed),
        draw_formulas(kind, images.x_test, images.y_test, shown, dict.fromkeys(LENGTHS, TEST), seed),
    ]


@click.command(cls=Script)
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("--examples", default=1000, show_default=True, help="Training formulas of all lengths, without --files.")
@click.option("--files", type=FILE, help="Folder of HWF, with expr_train.json and Handwritten_Math_Symbols; for hwf.")
@seeds_option("700-704")
@settings_option
@click.option("--data-dir", type=FILE, help="Where MNIST lies.")
@click.option(
    "--out", type=FILE, help="[default: experiments/results/formulas-KIND.json, with --files formulas-hwf-files.json]"
)
@runs_option("runs/formulas")
def main(
    kind: str,
    examples: int,
    files: Path | None,
    seeds: range,
    settings: dict[str, Any],
    data_dir: Path | None,
    out: Path | None,
    runs: Path,
) -> None:
    """Train on the values of formulas of a KIND, once a seed; what the result holds already is kept."""
    torch.set_num_threads(1)
    if files and kind != "hwf":
        raise click.UsageError("--files are of HWF: say hwf.")
    name = f"{kind}-files" if files else kind
    out = out or RESULTS / f"formulas-{name}.json"
    about = {"formulas": name, "settings": settings}
    for seed in seeds:
        if is_finished(out, {"seed": seed}, about):
            continue
        train, test = sources(KINDS[kind], files, data_dir, examples, seed)
        cpu = time.process_time()
        run = trained(KINDS[kind], train, seed, settings, runs / f"{name}-seed{seed}")
        cpu = time.process_time() - cpu
        counts = {str(length): len(own.texts) for length, own in train.items()}
        certificate = {key: run.summary["certificate"][key] for key in ("certified", "failures")}
        new = {"seed": seed, "examples": counts, **score(run, test), **certificate, "cpu_seconds": round(cpu, 1)}
        click.echo(json.dumps(new))
        add_run(out, new, ["seed"], about)
    click.echo(table(finished_runs(out)))


if __name__ == "__main__":
    main()
