"""Figures 3, 4 and 5 of the paper: clusters and density of each method, losses with their optima, training.

    python experiments/toys_figures.py --datasets moons,circles --methods gedi,gedi-no-gen,jem
    python experiments/toys_figures.py --published --datasets moons,circles

For every data set and method the pictures of its run (clusters.png, density.png, losses.png, training.png) are put side
by side as experiments/results/figures/<name>-<kind>.png; a run that is finished in --runs is not trained again.
"""

from pathlib import Path

import click
from PIL import Image
from toys_tables import run_once

from gedi_nesy.settings import parse_setting
from gedi_nesy.vision.recipe import recipe_for

FIGURES = Path(__file__).parent / "results" / "figures"
# the paper's figure, and the picture of a run that shows the same
KINDS = {
    "figure3": "clusters.png",
    "figure3-density": "density.png",
    "figure4": "losses.png",
    "figure5": "training.png",
}


@click.command()
@click.option("--published", is_flag=True, help="The paper's recipes instead of ours.")
@click.option("--methods", default="gedi,gedi-no-gen,jem", show_default=True)
@click.option("--datasets", default="moons,circles", show_default=True)
@click.option("--seed", default=100, show_default=True)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs/figures"), show_default=True)
def main(published: bool, methods: str, datasets: str, seed: int, settings: tuple[str, ...], runs: Path) -> None:
    """Run the experiment."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    name = "published" if published else "ours"
    overrides = {"seed": seed} | dict(map(parse_setting, settings))
    folders = {}
    for method in methods.split(","):
        for dataset in datasets.split(","):
            folders[method, dataset] = folder = runs / f"{name}-{method}-{dataset}"
            run_once(recipe_for(method, published), folder, overrides | {"dataset": dataset})
    for kind, picture in KINDS.items():
        rows = [
            [folders[method, dataset] / picture for dataset in datasets.split(",")] for method in methods.split(",")
        ]
        paste(rows, FIGURES / f"toys-{name}-{kind}.png")


def paste(rows: list[list[Path]], path: Path) -> None:
    """Pictures in rows on one white sheet."""
    pictures = [[Image.open(picture) for picture in row] for row in rows]
    width, height = (max(p.size[side] for row in pictures for p in row) for side in (0, 1))
    sheet = Image.new("RGB", (width * max(map(len, pictures)), height * len(pictures)), "white")
    for r, row in enumerate(pictures):
        for c, picture in enumerate(row):
            sheet.paste(picture, (c * width, r * height))
    sheet.save(path)
    print(path)


if __name__ == "__main__":
    main()
