"""The time of a seed of the toys when several train side by side, as with `--seeds`, and when they train one by one.

    python experiments/bench_seeds.py --out experiments/results/bench_seeds.json

Our recipe with a fifteenth of its steps, in turn with each number of seeds, in one process; the median of some rounds.
"""

import statistics
import time
from pathlib import Path

import click
import torch
from common import Script, out_option, write_result

from gedi_nesy.cli.shared import Commas
from gedi_nesy.data.points import load_points
from gedi_nesy.runs.phases import train_phases
from gedi_nesy.runs.rollback import Rollback
from gedi_nesy.vision.learner import Learner
from gedi_nesy.vision.recipe import Recipe, load_recipe

SHORT = {"pretrain.steps": 40, "train.steps": 40, "refine.steps": 100}


@click.command(cls=Script)
@click.option("--recipe", default="gedi", show_default=True)
@click.option("--numbers", type=Commas(click.INT), default="1,5,20", show_default=True, help="Of seeds; 1 comes first.")
@click.option("--threads", default=1, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@out_option()
def main(recipe: str, numbers: tuple[int, ...], threads: int, rounds: int, out: Path | None) -> None:
    """Run the experiment."""
    torch.set_num_threads(threads)
    settings = load_recipe(recipe, SHORT)
    learn(settings, 1)  # to warm up
    taken = [[learn(settings, number) / number for number in numbers] for _ in range(rounds)]
    lines: list[dict[str, float]] = []
    for number, times in zip(numbers, zip(*taken, strict=True), strict=True):
        own = statistics.median(times)
        first = lines[0]["seconds_a_seed"] if lines else own
        lines.append({"seeds": number, "seconds_a_seed": own, "times_as_fast": first / own})
        print(f"{number:3} seeds side by side: {own:.2f} s a seed, {first / own:.2f} times as fast", flush=True)
    if out:
        about = {"recipe": recipe, "settings": SHORT, "threads": threads, "rounds": rounds}
        write_result(out, about | {"lines": lines})


def learn(recipe: Recipe, number: int) -> float:
    """Seconds to train so many seeds side by side."""
    data = [load_points(recipe.dataset, recipe.examples, seed, recipe.data_noise).x_train for seed in range(number)]
    start = time.perf_counter()
    learner = Learner(recipe, data, 2)
    learner.result(train_phases(learner, Rollback(recipe.guard)))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
