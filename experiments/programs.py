"""Every program that comes with the package, trained on MNIST with the recipe that `gedi-nesy train` takes.

    python experiments/programs.py
    python experiments/programs.py --recipe gedi-nesy-restarts --programs sorted,parity --seed 330

Where a rule can't tell some symbols apart (`gedi-nesy check` says which), accuracy is low and Hungarian accuracy, under
the best renaming of the symbols, may be high all the same. Labels only draw images that satisfy the rule.
The result is experiments/results/programs-<recipe>-<examples>.json; finished runs are kept, stopped ones resumed.
"""

import json
from pathlib import Path
from typing import Any

import click
from common import RESULTS, WHERE, Script, command, figures_of, runs_option, write_json
from once import run_once

from gedi_nesy.nesy.recipe import recipe_for

PROGRAMS: dict[str, dict[str, object]] = {
    "addition": {},
    "addition_sum": {"arguments": ["S"]},
    "addition_multi": {},
    "less": {},
    "parity": {},
    "xor": {},
    "all_different": {},
    "sudoku": {},
    "sorted": {},
    "formula": {"arguments": ["V"], "dataset": "mnist+operators"},
}


@click.command(cls=Script)
@click.option("--programs", default=",".join(PROGRAMS), show_default=True)
@click.option("--examples", default=1000, show_default=True)
@click.option("--recipe", help="[default: the one for so many examples]")
@click.option("--seed", default=330, show_default=True)
@runs_option("runs/programs")
def main(programs: str, examples: int, recipe: str | None, seed: int, runs: Path) -> None:
    """Run the experiment."""
    recipe = recipe or recipe_for("gedi+nesy", examples)
    out = RESULTS / f"programs-{recipe}-{examples}.json"
    rows: dict[str, Any] = json.loads(out.read_text())["programs"] if out.exists() else {}
    for program in programs.split(","):
        settings = {"dataset": "mnist", "examples": examples, "program": program} | PROGRAMS.get(program, {})
        folder = runs / f"{recipe}-{Path(program).stem}-{examples}-seed{seed}"
        summary = run_once(recipe, folder, settings | {"seed": seed}).summary
        rows[program] = {
            "command": command(),
            **{key: summary[key] for key in ("recipe", "dataset", "examples", "seed", "seconds")},
            **figures_of(summary),
            "by_network": summary.get("networks"),
            "certificate": summary["certificate"],
            "restarts": summary["restarts"],
            **{key: summary[key] for key in WHERE},
        }
        figures = "  ".join(f"{key} {value:.3f}" for key, value in figures_of(summary).items())
        print(f"{program:16} {figures}  certified {summary['certificate']['certified']}  {summary['seconds']} s")
        write_json(out, {"programs": rows})


if __name__ == "__main__":
    main()
