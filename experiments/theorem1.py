"""Theorem 1 on real images: which failure each missing term brings on MNIST, and whether D and the diagnosis name it.

    python experiments/theorem1.py --seeds 640-644
    python experiments/theorem1.py --methods gedi-no-prior --seeds 640

A small setting, the same for every method: 10,000 images, a network without batch norm, 1,000 steps; views are walks
among images of like shape, and warps. A method has the terms of its recipe and no others; the family's clusters come
from k-means. Figures go to experiments/results/theorem1-mnist.json and .md, a method's pictures to
theorem1-mnist-<method>.png: test images of each cluster, a cluster a column, and samples beside them where L_GEN was
on, of the first seed. A finished run in --runs is kept, a stopped one is resumed; other methods' rows of the result
stay.
"""

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import torch
from common import RESULTS, WHERE, Script, command, figures_of, runs_option, seeds_option, settings_option, write_json
from once import vision_run_once
from torchvision.utils import make_grid, save_image

from gedi_nesy.cli.shared import Commas, Method
from gedi_nesy.data.points import load_points
from gedi_nesy.errors import UserError
from gedi_nesy.methods import PUBLISHED, WITHOUT_RULE
from gedi_nesy.vision.recipe import load_recipe, recipe_for
from gedi_nesy.vision.run import Run, load_run
from gedi_nesy.vision.samples import draw_images

NAME = "theorem1-mnist"
MISSING = {  # of the objective of GEDI, the first
    "gedi": "nothing",
    "gedi-no-gen": "L_GEN",
    "gedi-no-inv": "L_INV",
    "gedi-no-prior": "L_PRIOR",
    "gedi-two-stage": "L_GEN while clusters form",
    "jem": "L_INV and L_PRIOR",
    "infonce": "all; InfoNCE instead",
    "vicreg": "all; VICReg instead",
    "swav": "all; SwAV instead",
}
STEPS, BATCH = 1000, 180
SETTINGS: dict[str, Any] = {
    "dataset": "mnist",
    "examples": 10000,
    "log_every": 100,
    "network.encoder": "strided",
    "network.projector": [96, 64],
    "network.batch_norm": False,
    "view.warp": 1.0,
    "view.noise": 0.1,
    "view.walk": 1,
    "view.neighbours": 10,
    "view.graph": "shape",
    "augment.crop": [1.0, 1.0],
    "augment.jitter": 0.0,
    "augment.grey": 0.0,
    "augment.anchor": "view",
    "sampler.chains": 24,
    "sampler.steps": 10,
    "sampler.noise": 0.003,
    "sampler.clamp": True,
    "sampler.reference": 50.0,
    "sampler.buffer": 350,
    "sampler.reinit": 0.1,
    "sampler.warp": 0.1,
}
STAGE = {"batch": BATCH, "learning_rate": [[0.0, 0.0], [0.05, 2e-3], [0.5, 1.2e-3], [1.0, 1e-4]], "ema": 0.99}
WEIGHTS = {"gen": 1.0, "inv": 25.0, "prior": 100.0}  # where a method has the term; 1 : 4 as in `vision.restarts`
COLUMN, SAMPLED = 5, 6  # test images of each cluster, and columns of samples


@click.command(cls=Script)
@click.option("--methods", type=Commas(Method(WITHOUT_RULE)), default=",".join(MISSING), show_default=True)
@seeds_option("640-644")
@settings_option
@runs_option("runs/theorem1")
def main(methods: Sequence[str], seeds: range, settings: dict[str, Any], runs: Path) -> None:
    """Run the experiment."""
    for method in methods:
        recipe = recipe_for(method, method in PUBLISHED, "mnist")
        overrides = settings_of(recipe) | settings
        found: list[Run] = []
        failed: dict[int, str] = {}
        for seed in seeds:
            folder = runs / f"{method}-seed{seed}"
            try:
                vision_run_once(recipe, folder, overrides | {"seed": seed})
            except UserError as stopped:  # a run that fails counts
                failed[seed] = str(stopped)
                print(f"{method}, seed {seed}: {stopped}", flush=True)
                continue
            found.append(load_run(folder))
            print(f"{method}, seed {seed}: {' | '.join(cells_of(read_row(method, found[-1:], {})))}", flush=True)
        if found:
            draw(found[0], RESULTS / f"{NAME}-{method}.png")
            write_results(read_row(method, found, failed))


def settings_of(recipe: str) -> dict[str, Any]:
    """What the setting changes in a recipe: the same steps in all, and the weights of the terms that it has."""
    stages, changed = load_recipe(recipe).stages, dict(SETTINGS)
    for name, stage in stages.items():
        changed |= {f"{name}.{key}": value for key, value in STAGE.items()} | {f"{name}.steps": STEPS // len(stages)}
        changed |= {f"{name}.weights.{term}": WEIGHTS[term] for term in WEIGHTS if term in stage.weights.always()}
    return changed


def read_row(method: str, runs: Sequence[Run], failed: Mapping[int, str]) -> dict[str, Any]:
    """The figures of one method, all seeds, and why some have none."""
    summaries = [run.summary for run in runs]
    figures = [*figures_of(summaries[0]), "seconds"]
    doubts = Counter(name for s in summaries for name in s["certificate"]["diagnosis"]["failures"])
    return {
        "method": method,
        "missing": MISSING.get(method, ""),
        "command": command(),
        "median": {key: statistics.median(s[key] for s in summaries) for key in figures},
        "D": statistics.median(s["certificate"]["D"] for s in summaries),
        "diagnosis": {
            key: statistics.median(s["certificate"]["diagnosis"][key] for s in summaries)
            for key in ("imbalance", "inconsistency", "information")
        },
        "named": dict(doubts.most_common()),
        "of the energy": dict(Counter(f for s in summaries for f in energy_failures(s["certificate"])).most_common()),
        "certified": sum(s["certificate"]["certified"] for s in summaries),
        "failed": dict(failed),
        "seeds": [{key: s[key] for key in ("seed", *figures, "certificate")} for s in summaries],
        "steps": summaries[0]["steps"],
        **{key: summaries[0][key] for key in ("recipe", "dataset", "examples", *WHERE)},
    }


def energy_failures(certificate: Mapping[str, Any]) -> list[str]:
    """The reasons for doubt that are about the energies."""
    return [name for name in certificate["failures"] if name not in certificate["diagnosis"]["failures"]]


def draw(run: Run, path: Path) -> None:
    """Test images of each cluster, a cluster a column, and samples beside them; grey where a cluster has no more."""
    images = load_points("mnist", 1, 0, 0.0).x_test
    probs = run.log_probs(images).exp()
    blank, columns = torch.full_like(images[:COLUMN], 128), []
    for cluster in range(run.clusters):
        members = (probs.argmax(-1) == cluster).nonzero()[:COLUMN, 0]
        columns.append(torch.cat([images[members], blank[len(members) :]]))
    parts = [grid_of(torch.stack(columns, 1).flatten(0, 1), run.clusters)]
    if run.recipe.has_energy_model:
        parts.append(grid_of(draw_images(run, COLUMN * SAMPLED, 200), SAMPLED))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(torch.cat(parts, 2), path)


def grid_of(images: torch.Tensor, columns: int) -> torch.Tensor:
    """Images, uint8 [n, 1, H, W], in rows of so many: [3, height, width] from 0 to 1."""
    return make_grid(images / 255, nrow=columns, pad_value=1.0)


def write_results(row: Mapping[str, Any]) -> None:
    """Put a row among the others, in place of an older one of its method."""
    path = RESULTS / f"{NAME}.json"
    others = json.loads(path.read_text())["rows"] if path.exists() else []
    rows = [row, *(other for other in others if other["method"] != row["method"])]
    rows.sort(key=lambda row: list(MISSING).index(row["method"]) if row["method"] in MISSING else len(MISSING))
    write_json(path, {"rows": rows})
    path.with_suffix(".md").write_text(markdown(rows))


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table, a line a row."""
    header = ["method", "missing", "seeds", "NMI", "Hungarian accuracy", "D", "imbalance", "inconsistency"]
    header += ["information", "named by the diagnosis", "other doubts", "certified", "s a run", "clusters, samples"]
    pictures = [f"![{row['method']}]({NAME}-{row['method']}.png)" for row in rows]
    lines = [[*cells_of(row), picture] for row, picture in zip(rows, pictures, strict=True)]
    return "".join(f"| {' | '.join(line)} |\n" for line in [header, ["---"] * len(header), *lines])


def cells_of(row: Mapping[str, Any]) -> list[str]:
    """A row in words, without its picture."""
    n, median = len(row["seeds"]), row["median"]
    return [
        row["method"],
        row["missing"],
        str(n) + (f", {len(row['failed'])} failed" if row["failed"] else ""),
        f"{median['nmi']:.3f}",
        f"{median['cluster_accuracy']:.3f}",
        f"{row['D']:.3f}",
        *(f"{row['diagnosis'][key]:.3f}" for key in ("imbalance", "inconsistency", "information")),
        *(", ".join(f"{name} in {count}" for name, count in row[key].items()) for key in ("named", "of the energy")),
        f"{row['certified']} of {n}",
        f"{median['seconds']:.0f}",
    ]


if __name__ == "__main__":
    main()
