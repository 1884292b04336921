"""Train a recipe on several seeds and write every figure of every seed.

    python experiments/train_seeds.py --recipe gedi-nesy --examples 1000 --seeds 200-204
    python experiments/train_seeds.py --recipe paper-addition-10000 --seeds 100
    python experiments/train_seeds.py --program mine.pl --seeds 200
    python experiments/train_seeds.py --program addition_sum --set 'arguments=["S"]' --seeds 200

The result goes to experiments/results/<recipe>-<program>-<dataset>-<examples>.json; the run folders to --runs, where a
finished seed is not trained again and a stopped one is resumed.
"""

import statistics
from pathlib import Path
from typing import Any

import click
from common import (
    RESULTS,
    WHERE,
    Script,
    figures_of,
    out_option,
    runs_option,
    seeds_option,
    settings_option,
    write_result,
)
from once import run_once

from gedi_nesy.nesy.recipe import load_recipe


@click.command(cls=Script)
@click.option("--recipe", default="gedi-nesy", show_default=True)
@click.option("--program", default="addition", show_default=True)
@click.option("--examples", type=int, help="[default: the recipe's]")
@click.option("--dataset", default="mnist", show_default=True)
@seeds_option("100-104")
@settings_option
@runs_option("runs")
@out_option()
def main(
    recipe: str,
    program: str,
    examples: int | None,
    dataset: str,
    seeds: range,
    settings: dict[str, Any],
    runs: Path,
    out: Path | None,
) -> None:
    """Run the experiment."""
    overrides = {"dataset": dataset, "program": program} | settings
    overrides["examples"] = examples or load_recipe(recipe).examples
    name = f"{recipe}-{Path(program).stem}-{dataset}-{overrides['examples']}"
    summaries = []
    for seed in seeds:
        summary = run_once(recipe, runs / f"{name}-seed{seed}", overrides | {"seed": seed}).summary
        summaries.append(summary)
        figures = "  ".join(f"{key} {value:.4f}" for key, value in figures_of(summary).items())
        print(
            f"seed {seed}: {figures}  certified {summary['certificate']['certified']}  {summary['seconds']} s",
            flush=True,
        )
    out, result = out or RESULTS / f"{name}.json", gather(summaries)
    write_result(out, result)
    print(f"median accuracy {result['median']['accuracy']:.4f}, NMI {result['median']['nmi']:.4f}; {out}")


def gather(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """The contents of the result: the figures over all seeds, then each seed's."""
    figures = list(figures_of(summaries[0]))
    return {
        "median": {key: statistics.median(s[key] for s in summaries) for key in (*figures, "seconds")},
        "min": {key: min(s[key] for s in summaries) for key in figures},
        "certified": sum(s["certificate"]["certified"] for s in summaries),
        "seeds": [{key: s[key] for key in ("seed", *figures, "certificate", "restarts", "seconds")} for s in summaries],
        **{key: summaries[0][key] for key in ("dataset", "examples", *WHERE)},
    }


if __name__ == "__main__":
    main()
