"""Figures 3, 4 and 5 of the paper: clusters and density of each method, losses with their optima, training.

    python experiments/toys_figures.py --published
    python experiments/toys_figures.py --methods gedi,gedi-no-gen,jem --name toys-ours-5-seeds

experiments/toys_tables.py has the same runs under the same --name, --seeds and --first-seed; one that is not in --runs
is trained. For every method (a row) and data set (a column) the picture of the first seed's run is put on one sheet,
experiments/results/figures/<--name>-<figure>.png.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from common import RESULTS, Script, runs_option, settings_option
from once import vision_run_once
from PIL import Image, ImageDraw, ImageFont

from gedi_nesy.vision.published import NOISE
from gedi_nesy.vision.recipe import recipe_for

FIGURES = RESULTS / "figures"
WIDTH = 1600  # of a sheet, in pixels, at most
# the paper's figure, and the picture of a run that shows the same
KINDS = {
    "figure3": "clusters.png",
    "figure3-density": "density.png",
    "figure4": "losses.png",
    "figure5": "training.png",
}


@click.command(cls=Script)
@click.option("--published", is_flag=True, help="The paper's recipes instead of ours.")
@click.option("--methods", default="gedi,gedi-no-gen,jem", show_default=True)
@click.option("--datasets", default="moons,circles", show_default=True)
@click.option("--seeds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--first-seed", default=100, show_default=True)
@settings_option
@runs_option("runs/toys")
@click.option("--name", help="Of the runs and the pictures.  [default: toys-published or toys-ours]")
def main(
    published: bool,
    methods: str,
    datasets: str,
    seeds: int,
    first_seed: int,
    settings: dict[str, Any],
    runs: Path,
    name: str | None,
) -> None:
    """Draw the figures."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    name = name or ("toys-published" if published else "toys-ours")
    overrides = {"data_noise": NOISE, "seeds": seeds, "seed": first_seed} | settings
    runs_of: dict[str, list[Path]] = {}
    for method in methods.split(","):
        for dataset in datasets.split(","):
            folder = runs / name / f"{method}-{dataset}-{NOISE}"
            vision_run_once(recipe_for(method, published), folder, overrides | {"dataset": dataset})
            runs_of.setdefault(method, []).append(folder / f"seed{first_seed}")
    for figure, picture in KINDS.items():
        rows = {method: [run / picture for run in found] for method, found in runs_of.items()}
        paste(rows, datasets.split(","), FIGURES / f"{name}-{figure}.png")


def paste(rows: Mapping[str, Sequence[Path]], columns: Sequence[str], path: Path) -> None:
    """Pictures in rows and columns on one white sheet, the names of both above each."""
    pictures = {name: [Image.open(picture) for picture in row] for name, row in rows.items()}
    width = max(picture.width for row in pictures.values() for picture in row)
    caption = width // 20
    heights = [caption + max(picture.height for picture in row) for row in pictures.values()]
    sheet = Image.new("RGB", (width * len(columns), sum(heights)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(caption // 2)
    for r, (name, row) in enumerate(pictures.items()):
        for c, (column, picture) in enumerate(zip(columns, row, strict=True)):
            corner = (c * width, sum(heights[:r]))
            pen.text((corner[0] + caption // 2, corner[1] + caption // 4), f"{name}, {column}", "black", font)
            sheet.paste(picture, (corner[0], corner[1] + caption))
    sheet.thumbnail((WIDTH, 10 * WIDTH), Image.Resampling.LANCZOS)
    sheet.quantize(256).save(path, optimize=True)  # a quarter of the size
    print(path)


if __name__ == "__main__":
    main()
