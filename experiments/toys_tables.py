"""Tables 2 and 3 of the paper, moons and circles, and the harder toys: NMI of every method beside the paper's.

    python experiments/toys_tables.py --published --seeds 5
    python experiments/toys_tables.py --methods gedi,gedi-no-gen --datasets moons,circles --seeds 20
    python experiments/toys_tables.py --methods gedi --datasets moons --noise .1 --seeds 20

All seeds of a method are trained side by side. Its row goes to experiments/results/<--name>.json, where others stay,
and to <--name>.md: the paper's and the Bayes classifier's figures beside ours, the runs' reasons for doubt, and the
log-likelihood of held-out points, with L_GEN (gedi) and without (gedi-no-gen), beside a kernel density
estimate's. A finished run in --runs is kept, a stopped one is resumed.
"""

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from common import RESULTS, WHERE, Script, command, runs_option, settings_option, write_json
from once import vision_run_once
from toys_bayes import bayes_nmi

from gedi_nesy.methods import PUBLISHED, WITHOUT_RULE
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.vision.published import NOISE, TABLES_2_AND_3
from gedi_nesy.vision.recipe import recipe_for

SOLVED = 0.99  # of NMI
FOUND = 0.95  # of cluster accuracy: above it a few points are wrong, below it whole clusters


@click.command(cls=Script)
@click.option("--published", is_flag=True, help="The paper's recipes instead of ours.")
@click.option("--methods", default=",".join(PUBLISHED), show_default=True)
@click.option("--datasets", default="moons,circles", show_default=True)
@click.option("--noise", type=float, default=NOISE, show_default=True)
@click.option("--seeds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--first-seed", default=100, show_default=True)
@settings_option
@runs_option("runs/toys")
@click.option("--name", help="Of the result file.  [default: toys-published or toys-ours]")
def main(
    published: bool,
    methods: str,
    datasets: str,
    noise: float,
    seeds: int,
    first_seed: int,
    settings: dict[str, Any],
    runs: Path,
    name: str | None,
) -> None:
    """Run the experiment."""
    name = name or ("toys-published" if published else "toys-ours")
    overrides = {"data_noise": noise, "seeds": seeds, "seed": first_seed} | settings
    for method in methods.split(","):
        for dataset in datasets.split(","):
            folder = runs / name / f"{method}-{dataset}-{noise}"
            vision_run_once(recipe_for(method, published), folder, overrides | {"dataset": dataset})
            row = read_row(folder)
            print(" | ".join(cells_of(row)), flush=True)
            write_results(RESULTS / f"{name}.json", row)


def write_results(path: Path, row: Mapping[str, Any]) -> None:
    """Put a row among the others, in place of an older one of its kind."""

    def kind(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return row["dataset"], row["noise"], WITHOUT_RULE.index(row["method"])

    others = json.loads(path.read_text())["rows"] if path.exists() else []
    rows = sorted([row, *(other for other in others if kind(other) != kind(row))], key=kind)
    write_json(path, {"rows": rows})
    path.with_suffix(".md").write_text(markdown(rows))


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Ours beside the paper's, a line a row."""
    header = ["data", "noise", "method", "seeds", "steps", "NMI", "paper", "of Bayes", f"NMI >= {SOLVED}", "of Bayes"]
    header += ["clusters found", "certified", "and wrong", "what the certificate finds"]
    header += ["log p, held out", "of a KDE", "s a seed"]
    return "".join(f"| {' | '.join(line)} |\n" for line in [header, ["---"] * len(header), *map(cells_of, rows)])


def cells_of(row: Mapping[str, Any]) -> list[str]:
    """A row in words."""
    n, found = len(row["seeds"]), Counter(name for seed in row["seeds"] for name in seed["certificate"]["failures"])
    return [
        row["dataset"],
        str(row["noise"]),
        row["method"],
        str(n),
        str(row["steps"]),
        f"{row['nmi']['mean']:.2f} ± {row['nmi']['std']:.2f}",
        " ± ".join(f"{value:.2f}" for value in row["paper"] or [] if value is not None),
        f"{row['bayes']['mean']:.2f}",
        f"{row['solved']} of {n}",
        f"{row['bayes']['solved']} of {n}",
        f"{row['found']} of {n}",
        str(row["certified"]),
        str(row["certified_but_wrong"]),
        ", ".join(f"{name} in {count}" for name, count in found.most_common()),
        f"{row['log_likelihood']:.2f}",
        f"{row['kde_log_likelihood']:.2f}",
        str(row["seconds_a_seed"]),
    ]


def read_row(folder: Path) -> dict[str, Any]:
    """One method on one data set, all seeds."""
    summary = RunFolder(folder).read_json("summary.json")
    noise = float(folder.name.rsplit("-", 1)[1])
    method, dataset = summary["method"], summary["dataset"]
    nmis = [seed["nmi"] for seed in summary["seeds"]]
    bayes = [bayes_nmi(dataset, noise, seed["seed"]) for seed in summary["seeds"]]
    likelihoods = [seed["log_likelihood"] for seed in summary["seeds"]]
    published = TABLES_2_AND_3.get((method, dataset), {}).get("nmi") if noise == NOISE else None
    return {
        "command": command(),
        "method": method,
        "dataset": dataset,
        "noise": noise,
        "paper": published and [published.centre, published.std],
        "nmi": {"mean": statistics.mean(nmis), "std": statistics.stdev(nmis), "min": min(nmis)},
        "solved": sum(nmi >= SOLVED for nmi in nmis),
        "bayes": {"mean": statistics.mean(bayes), "min": min(bayes), "solved": sum(nmi >= SOLVED for nmi in bayes)},
        "found": sum(seed["cluster_accuracy"] >= FOUND for seed in summary["seeds"]),
        "certified": summary["certified"],
        "certified_but_wrong": sum(
            s["certificate"]["certified"] and s["cluster_accuracy"] < FOUND for s in summary["seeds"]
        ),
        "log_likelihood": statistics.median(likelihoods),
        "kde_log_likelihood": summary["median"]["kde_log_likelihood"],
        "seconds_a_seed": summary["median"]["seconds"],
        **{key: summary[key] for key in ("recipe", "steps", "seeds", *WHERE)},
    }


if __name__ == "__main__":
    main()
