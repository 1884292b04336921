"""The pictures and the report of a finished run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core.metrics import Scores
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.rows import describe, images_of_row
from gedi_nesy.nesy.run import Run
from gedi_nesy.report.confusion import confusion_png
from gedi_nesy.report.html import report_html
from gedi_nesy.report.losses import losses_png
from gedi_nesy.report.samples import rows_png, samples_png

SAMPLES = 100
ROWS = 20  # of rows.png


def draw_pictures(run: Run, summary: dict[str, Any], scores: Mapping[str, Scores], loader: Loader) -> None:
    """Write losses.png, report.html, samples.png where L_GEN was on, and confusion.png where there are labels.

    Of a run on a table it writes symbols.png, images by their predicted symbol, and rows.png, the rows that deserve a
    look.
    """
    folder = run.folder
    history = [row for row in folder.read_metrics() if "return" not in row]
    optima = {name: value for row in history for name, value in row["optimum"].items()}
    pictures = draw_table(run, summary, loader)
    if history:  # metrics.jsonl may have been deleted after the last step
        losses_png(folder / "losses.png", history, optima)
        pictures.append(folder / "losses.png")
    for name in run.networks:
        suffix = _suffix(run, name)
        if run.recipe.has_energy_model and not run.readings[name].is_vector:
            draw_samples(run, folder / f"samples{suffix}.png", SAMPLES, network=name)
            pictures.append(folder / f"samples{suffix}.png")
        if name in scores:
            matrix = torch.from_numpy(scores[name].confusion)
            confusion_png(folder / f"confusion{suffix}.png", matrix, [str(symbol) for symbol in run.domains[name]])
            pictures.append(folder / f"confusion{suffix}.png")
    report_html(folder / "report.html", summary, run.recipe.to_toml(), pictures)


def draw_table(run: Run, summary: dict[str, Any], loader: Loader) -> list[Path]:
    """Write symbols.png and rows.png of a run on a table of pictures, and give their paths; none of another run.

    Rows whose pictures differ in shape are listed in the report only.
    """
    if not loader.examples.lines:
        return []
    seen = [name for name in run.networks if not run.readings[name].is_vector]
    paths = [run.folder / f"symbols{_suffix(run, name)}.png" for name in seen]
    for path, name in zip(paths, seen, strict=True):
        draw_by_symbol(run, path, run.scale.to_unit(loader.distinct(name)), name)
    if len(seen) < len(run.networks) or len({run.readings[name].shape for name in seen}) > 1:
        return paths
    doubtful = summary["doubtful_rows"][:ROWS]
    images = [images_of_row(loader, row["line"]) / 255 for row in doubtful]
    rows_png(run.folder / "rows.png", images, [describe(row) for row in doubtful])
    return [*paths, run.folder / "rows.png"]


def _suffix(run: Run, network: str) -> str:
    """What tells the pictures of several networks apart."""
    return f"-{network}" if len(run.networks) > 1 else ""


def draw_samples(
    run: Run, path: Path, n: int, *, network: str | None = None, steps: int | None = None, seed: int = 0
) -> None:
    """Draw n samples of the energy model to a PNG, a row for each symbol that the network sees in them.

    Raises:
        UserError: the network reads vectors, which no picture shows.
    """
    if run.readings[network or next(iter(run.readings))].is_vector:
        raise UserError("Samples of vectors can't be drawn; ask run.sample(n) in Python for their numbers.")
    draw_by_symbol(run, path, run.sample(n, steps=steps, seed=seed, network=network), network)


def draw_by_symbol(run: Run, path: Path, images: Tensor, network: str | None = None) -> None:
    """Draw images, [n, images * C, H, W] in [0, 1], to a PNG, a row for each symbol that the network sees in them."""
    confidence, labels = run.log_probs(images, network).exp().max(-1)
    symbols = [str(symbol) for symbol in run.domains[network or next(iter(run.domains))]]
    colours = run.readings[network or next(iter(run.readings))].shape[0]
    each = images.unflatten(1, (-1, colours))  # the images that a network reads at once, [n, images, C, H, W]
    side_by_side = each.permute(0, 2, 3, 1, 4).flatten(3)
    samples_png(path, side_by_side.cpu(), labels.cpu(), confidence.cpu(), symbols)
