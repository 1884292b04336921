"""Symbols by matching alone: vectors that are alike share a symbol, and the rule says which one.

    python experiments/features.py cifar10.npz --out cifar10-features.npz
    python experiments/likeness.py cifar10-features.npz --examples 100 --examples 300 --examples 900

The ten classes stand for the digits of the addition rule. For each number of triples and each seed: the accuracy of the
symbols that were matched, how well the likeness separates them (label-free), and the test accuracy of an MLP that was
taught the matched symbols, beside the same MLP taught with labels on the same vectors.
"""

import json
import time
from pathlib import Path
from typing import Any

import click
import torch
from ceiling import accuracy, teach
from common import Script
from torch.nn import functional as F

from gedi_nesy.data import Images
from gedi_nesy.data.npz import read_npz
from gedi_nesy.data.scale import Scale
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.examples import draw_examples
from gedi_nesy.nesy.likeness import by_cosine
from gedi_nesy.nesy.matching import match
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.views.choose import VectorView

DIGITS = tuple(map(str, range(10)))
STEPS = 1500  # of an MLP


@click.command(cls=Script)
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--examples", multiple=True, default=(100, 300, 900), show_default=True, help="How many triples.")
@click.option("--seeds", default=5, show_default=True, help="How many, from 700 on.")
@click.option("--out", type=click.Path(path_type=Path), help="A .json file for the figures.")
def main(data: Path, examples: tuple[int, ...], seeds: int, out: Path | None) -> None:
    """Match triples of the vectors of DATA, an .npz file with labels."""
    vectors = read_npz(data)
    torch.set_num_threads(1)
    rows = []
    for n in examples:
        for seed in range(700, 700 + seeds):
            rows.append(measure(vectors, n, seed))
            click.echo(" ".join(f"{name}={value}" for name, value in rows[-1].items()))
    if out:
        out.write_text(json.dumps({"data": data.name, "rows": rows}, indent=1) + "\n")


def measure(vectors: Images, n: int, seed: int) -> dict[str, Any]:
    """The figures of one draw of n triples."""
    rule = Constraint.from_file("addition")
    generator = torch.Generator().manual_seed(seed)
    drawn = draw_examples(rule, vectors.x_train, vectors.y_train, DIGITS, n, generator)
    recipe = load_recipe("gedi-nesy-few", {"matching.examples": n, "seed": seed})
    pixels = Scale(0.0, 1 / 255)  # vectors stay as they are
    started = time.process_time()
    loader = Loader(drawn, rule, pixels, torch.device("cpu"))
    matched, (targets, *_) = match(rule, loader, recipe, likeness={"digits": by_cosine(drawn.pool)})
    seconds = time.process_time() - started
    said = torch.cat([targets[key] for key in targets])
    labels = torch.cat([drawn.symbols[key] for key in targets])
    mean, spread = drawn.pool.mean(0), drawn.pool.std(0).clamp_min(1e-6)
    x = (torch.cat([drawn.pool[drawn.rows[str(key)]] for key in targets]) - mean) / spread
    x_test = (vectors.x_test - mean) / spread
    view = VectorView(torch.zeros_like(mean), torch.ones_like(mean), dropout=0.0)  # the MLP drops inputs itself
    taught = [teach("mlp-256", x, goal, view, STEPS, seed) for goal in (said, F.one_hot(labels, 10).float())]
    test = [accuracy(net, x_test, vectors.y_test) for net in taught]
    return {
        "examples": n,
        "seed": seed,
        "matched": round((said.argmax(1) == labels).float().mean().item(), 4),
        "separation": round(matched.separation or 0.0, 3),
        "margin": None if matched.margin is None else round(matched.margin, 3),
        "chains": matched.chains,
        "test_accuracy": round(test[0], 4),
        "with_labels": round(test[1], 4),
        "matching_cpu_s": round(seconds, 1),
    }


if __name__ == "__main__":
    main()
