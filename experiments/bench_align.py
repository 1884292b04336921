"""How often, and how fast, `align` names clusters from a few noisy examples of addition.

Run `python experiments/bench_align.py`: 100 triples, each image's cluster wrong (drawn uniformly) with probability 0.2,
the clusters numbered at random; 20 draws. The result goes to experiments/results/align.json. CPU time, one thread.
"""

import statistics
import time
from typing import Any

import click
import torch
from common import RESULTS, Script, write_result

from gedi_nesy.logic.constraint import Constraint


def draw(rule: Constraint, examples: int, error: float, seed: int) -> dict[str, Any]:
    """One draw: whether all ten names are right, and the seconds it took."""
    generator = torch.Generator().manual_seed(seed)
    labels, cluster_of = rule.sample(examples, generator), torch.randperm(10, generator=generator)
    log_probs = {}
    for variable in rule.variables:
        wrong = torch.rand(examples, generator=generator) < error
        any_cluster = torch.randint(10, (examples,), generator=generator)
        clusters = torch.where(wrong, any_cluster, cluster_of[labels[variable.key]])
        log_probs[variable.key] = (9.0 * torch.nn.functional.one_hot(clusters, 10)).log_softmax(1)
    start = time.process_time()
    found = rule.align(log_probs, seconds=60)
    seconds = time.process_time() - start
    right = [found.symbols["digits"][cluster] for cluster in cluster_of] == list(range(10))
    return {"seed": seed, "right": right, "seconds": round(seconds, 3), "exact": found.exact, "margin": found.margin}


@click.command(cls=Script)
@click.option("--examples", default=100, show_default=True)
@click.option("--error", default=0.2, show_default=True)
@click.option("--draws", default=20, show_default=True)
def main(examples: int, error: float, draws: int) -> None:
    """Measure, print and store."""
    torch.set_num_threads(1)
    rule = Constraint.from_file("addition")
    rule.align({v.key: torch.zeros(1, 10).log_softmax(1) for v in rule.variables})  # compiles, untimed
    rows = [draw(rule, examples, error, seed) for seed in range(draws)]
    seconds = [row["seconds"] for row in rows]
    result = {
        "right": sum(row["right"] for row in rows),
        "draws": draws,
        "seconds": {"median": statistics.median(seconds), "max": max(seconds)},
        "rows": rows,
    }
    write_result(RESULTS / "align.json", result)
    print(f"right {result['right']} of {draws}, seconds {result['seconds']}")


if __name__ == "__main__":
    main()
