"""MNIST, or Fashion-MNIST, without a rule: `gedi` by our recipe for drawings on several seeds, and k-means on pixels.

    python experiments/mnist_alone.py --seeds 620-629
    python experiments/mnist_alone.py --dataset fashion-mnist --seeds 620-624

Labels serve to score only, on the whole test set. The result goes to
experiments/results/<dataset>-alone.json, the run folders to --runs, where a finished seed is not trained again and a
stopped one is resumed.
"""

import statistics
from pathlib import Path
from typing import Any

import click
import torch
from common import RESULTS, WHERE, figures_of, out_option, runs_option, seeds_option, settings_option, write_result
from once import vision_run_once
from sklearn.cluster import KMeans

from gedi_nesy.core.metrics import score
from gedi_nesy.data.points import load_points
from gedi_nesy.vision.recipe import load_recipe, recipe_for
from gedi_nesy.vision.run import load_run


@click.command()
@click.option("--dataset", default="mnist", show_default=True)
@seeds_option("620-629")
@settings_option
@runs_option("runs")
@out_option()
def main(dataset: str, seeds: range, settings: dict[str, Any], runs: Path, out: Path | None) -> None:
    """Run the experiment."""
    recipe, summaries, rivals = recipe_for("gedi", dataset=dataset), [], []
    for seed in seeds:
        folder, overrides = runs / f"{recipe}-{dataset}-seed{seed}", settings | {"dataset": dataset, "seed": seed}
        vision_run_once(recipe, folder, overrides)
        summaries.append(load_run(folder).summary)
        rivals.append(k_means(dataset, load_recipe(recipe, overrides).examples, seed))
        write_result(out or RESULTS / f"{dataset}-alone.json", gather(summaries, rivals))
        print(line_of(summaries[-1]), flush=True)


def k_means(dataset: str, examples: int | None, seed: int) -> dict[str, float]:
    """Scores on the test images of k-means on the pixels of the same training images."""
    data = load_points(dataset, examples, seed, 0.0)
    assert data.y_test is not None
    classes = int(data.y_test.max()) + 1
    means = KMeans(classes, n_init=3, random_state=seed).fit(data.x_train.flatten(1).float().numpy())
    found = score(torch.from_numpy(means.predict(data.x_test.flatten(1).float().numpy())), data.y_test, classes)
    return {"nmi": found.nmi, "ami": found.ami, "cluster_accuracy": found.cluster_accuracy}


def line_of(summary: dict[str, Any]) -> str:
    """A seed's result in one line."""
    figures = "  ".join(f"{key} {value:.4f}" for key, value in figures_of(summary).items())
    found = summary["certificate"]
    return (
        f"seed {summary['seed']}: {figures}  D {found['D']:.3f}  certified {found['certified']}  {summary['seconds']} s"
    )


def gather(summaries: list[dict[str, Any]], rivals: list[dict[str, float]]) -> dict[str, Any]:
    """The contents of the result: the figures over all seeds, then each seed's."""
    figures = list(figures_of(summaries[0]))
    return {
        "median": {key: statistics.median(s[key] for s in summaries) for key in (*figures, "seconds")},
        "min": {key: min(s[key] for s in summaries) for key in figures},
        "certified": sum(s["certificate"]["certified"] for s in summaries),
        "k-means on pixels": {key: statistics.median(rival[key] for rival in rivals) for key in rivals[0]},
        "seeds": [{key: s[key] for key in ("seed", *figures, "certificate", "restarts", "seconds")} for s in summaries],
        **{key: summaries[0][key] for key in ("recipe", "dataset", "examples", *WHERE)},
    }


if __name__ == "__main__":
    main()
