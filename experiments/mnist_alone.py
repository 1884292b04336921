"""MNIST, or Fashion-MNIST, without a rule: `gedi` by our recipe for drawings on several seeds, and rivals on pixels.

    python experiments/mnist_alone.py --seeds 630-639
    python experiments/mnist_alone.py --dataset fashion-mnist --seeds 630-634
    python experiments/mnist_alone.py --seeds 632-634 --against notmnist,omniglot,noise --out OUT

Labels serve to score only, on the whole test set; spectral clustering, which has no clusters for other images, is
scored on the training images. The result goes to experiments/results/<dataset>-alone.json, the run folders to --runs,
where a finished seed is not trained again and a stopped one is resumed. With --against each run's scores of foreign
images are there, too.
"""

import statistics
from pathlib import Path
from typing import Any

import click
import torch
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
from once import vision_run_once
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn import functional as F

from gedi_nesy.cli.shared import Commas
from gedi_nesy.core.metrics import score
from gedi_nesy.data.points import load_points
from gedi_nesy.vision.ood import ood_auroc
from gedi_nesy.vision.recipe import load_recipe, recipe_for
from gedi_nesy.vision.run import load_run
from gedi_nesy.vision.shapes import graph_of, spectral_coordinates

NEIGHBOURS = 10  # in the graph of pixels
KEPT = ("certificate", "restarts", "seconds", "auroc")


@click.command(cls=Script)
@click.option("--dataset", default="mnist", show_default=True)
@seeds_option("630-639")
@click.option("--against", type=Commas(click.STRING), help="Data sets of foreign images, to measure AUROC.")
@settings_option
@runs_option("runs")
@out_option()
def main(
    dataset: str, seeds: range, against: tuple[str, ...] | None, settings: dict[str, Any], runs: Path, out: Path | None
) -> None:
    """Run the experiment."""
    recipe, summaries, rivals = recipe_for("gedi", dataset=dataset), [], []
    for seed in seeds:
        folder, overrides = runs / f"{recipe}-{dataset}-seed{seed}", settings | {"dataset": dataset, "seed": seed}
        vision_run_once(recipe, folder, overrides)
        run = load_run(folder)
        summaries.append(run.summary | ({"auroc": ood_auroc(run, against)} if against else {}))
        rivals.append(score_rivals(dataset, load_recipe(recipe, overrides).examples, seed))
        write_result(out or RESULTS / f"{dataset}-alone.json", gather(summaries, rivals))
        print(line_of(summaries[-1]), flush=True)


def score_rivals(dataset: str, examples: int | None, seed: int) -> dict[str, dict[str, float]]:
    """Scores of k-means and of spectral clustering (Ng, Jordan & Weiss 2001) of the pixels of the same images."""
    data = load_points(dataset, examples, seed, 0.0)
    assert data.y_train is not None
    assert data.y_test is not None
    classes = int(data.y_test.max()) + 1
    pixels, test_pixels = (x.flatten(1).float() for x in (data.x_train, data.x_test))
    means = KMeans(classes, n_init=3, random_state=seed).fit(pixels.numpy())
    graph = graph_of(F.normalize(pixels, dim=1), NEIGHBOURS)
    directions = F.normalize(spectral_coordinates(graph, classes - 1), dim=1)
    spectral = KMeans(classes, n_init=3, random_state=seed).fit(directions.numpy())
    return {
        "k-means on pixels": figures(means.predict(test_pixels.numpy()), data.y_test, classes),
        "spectral clustering of pixels": figures(spectral.labels_, data.y_train, classes),
    }


def figures(clusters: Any, labels: Tensor, classes: int) -> dict[str, float]:
    """How well clusters fit labels."""
    found = score(torch.from_numpy(clusters).long(), labels, classes)
    return {"nmi": found.nmi, "ami": found.ami, "cluster_accuracy": found.cluster_accuracy}


def line_of(summary: dict[str, Any]) -> str:
    """A seed's result in one line."""
    figures = "  ".join(f"{key} {value:.4f}" for key, value in figures_of(summary).items())
    found = summary["certificate"]
    return (
        f"seed {summary['seed']}: {figures}  D {found['D']:.3f}  certified {found['certified']}  {summary['seconds']} s"
    )


def gather(summaries: list[dict[str, Any]], rivals: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """The contents of the result: the figures over all seeds, then each seed's."""
    keys = list(figures_of(summaries[0]))
    return {
        "median": {key: statistics.median(s[key] for s in summaries) for key in (*keys, "seconds")},
        "min": {key: min(s[key] for s in summaries) for key in keys},
        "certified": sum(s["certificate"]["certified"] for s in summaries),
        **{
            name: {key: statistics.median(rival[name][key] for rival in rivals) for key in rivals[0][name]}
            for name in rivals[0]
        },
        "seeds": [{key: s[key] for key in ("seed", *keys, *KEPT) if key in s} for s in summaries],
        **{key: summaries[0][key] for key in ("recipe", "dataset", "examples", *WHERE)},
    }


if __name__ == "__main__":
    main()
