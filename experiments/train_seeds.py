"""Train a recipe on several seeds and write every figure of every seed.

    python experiments/train_seeds.py --recipe gedi-nesy --examples 1000 --seeds 200-204
    python experiments/train_seeds.py --recipe paper-addition-10000 --seeds 100
    python experiments/train_seeds.py --program mine.pl --seeds 200
    python experiments/train_seeds.py --program addition_sum --set 'arguments=["S"]' --seeds 200

The result goes to experiments/results/<recipe>-<program>-<dataset>-<examples>.json; the run folders to --runs, where a
finished seed is not trained again and a stopped one is resumed.
"""

import json
import statistics
from pathlib import Path

import click
from once import run_once

from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.runs.settings import parse_setting

FIGURES = ("accuracy", "nmi", "ami", "cluster_accuracy", "constraint_satisfaction", "test_constraint_log_likelihood")
RESULTS = Path(__file__).parent / "results"


@click.command()
@click.option("--recipe", default="gedi-nesy", show_default=True)
@click.option("--program", default="addition", show_default=True)
@click.option("--examples", type=int, help="[default: the recipe's]")
@click.option("--dataset", default="mnist", show_default=True)
@click.option("--seeds", default="100-104", show_default=True, help="First and last.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="The result file.")
def main(
    recipe: str,
    program: str,
    examples: int | None,
    dataset: str,
    seeds: str,
    settings: tuple[str, ...],
    runs: Path,
    out: Path | None,
) -> None:
    """Run the experiment."""
    overrides = {"dataset": dataset, "program": program} | dict(parse_setting(text) for text in settings)
    overrides["examples"] = examples or load_recipe(recipe).examples
    name = f"{recipe}-{Path(program).stem}-{dataset}-{overrides['examples']}"
    first, _, last = seeds.partition("-")
    summaries = []
    for seed in range(int(first), int(last or first) + 1):
        summary = run_once(recipe, runs / f"{name}-seed{seed}", overrides | {"seed": seed}).summary
        summaries.append(summary)
        print(f"seed {seed}: " + "  ".join(f"{key} {summary[key]:.4f}" for key in FIGURES[:3]), end="  ")
        print(f"certified {summary['certificate']['certified']}  {summary['seconds']} s", flush=True)
    command = f"python experiments/train_seeds.py --recipe {recipe} --program {program} "
    command += f"--examples {overrides['examples']} --dataset {dataset} --seeds {seeds}"
    result = gather(command + "".join(f" --set {text}" for text in settings), summaries)
    out = out or RESULTS / f"{name}.json"
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"median accuracy {result['median']['accuracy']:.4f}, NMI {result['median']['nmi']:.4f}; {out}")


def gather(command: str, summaries: list[dict]) -> dict:
    """What is written: the figures over all seeds, then each seed's."""
    return {
        "command": command,
        "median": {key: statistics.median(s[key] for s in summaries) for key in (*FIGURES, "seconds")},
        "min": {key: min(s[key] for s in summaries) for key in FIGURES},
        "certified": sum(s["certificate"]["certified"] for s in summaries),
        "seeds": [{key: s[key] for key in ("seed", *FIGURES, "certificate", "restarts", "seconds")} for s in summaries],
        **{key: summaries[0][key] for key in ("dataset", "examples", "device", "machine", "versions")},
    }


if __name__ == "__main__":
    main()
