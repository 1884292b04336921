"""The pictures and the report of a finished run."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core.nearest import nearest
from gedi_nesy.data.outliers import load_outliers, made_outliers
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.cards import show_all
from gedi_nesy.nesy.evaluate import Evaluation
from gedi_nesy.nesy.joint import AnyLoader
from gedi_nesy.nesy.run import Run
from gedi_nesy.report.captions import place
from gedi_nesy.report.confusion import confusion_png
from gedi_nesy.report.energies import energies_png
from gedi_nesy.report.examples import examples_png
from gedi_nesy.report.html import report_html
from gedi_nesy.report.losses import losses_png
from gedi_nesy.report.neighbours import neighbours_png
from gedi_nesy.report.reliability import reliability_png
from gedi_nesy.report.samples import samples_png

SAMPLES = 100
MEASURED = 500  # inputs of each kind whose energies are drawn
LARGEST = 3000  # training images among which the nearest to a sample is looked for


def draw_pictures(run: Run, summary: dict[str, Any], evaluation: Evaluation, loader: AnyLoader) -> None:
    """Write the pictures that there is something to draw for, and report.html with all of them.

    Args:
        run: what was trained.
        summary: what summary.json will hold.
        evaluation: of the run.
        loader: the training examples.
    """
    pictures = [*_draw_losses(run), *_draw_examples(run, evaluation)]
    for name in run.networks:
        if loader.has_lines and not run.readings[name].is_vector:
            pictures.append(_path(run, "symbols", name))
            draw_by_symbol(run, pictures[-1], run.scale.to_unit(loader.distinct(name)), name)
        if run.recipe.has_energy_model:
            pictures += _draw_energy_model(run, name, loader)
        if name in evaluation.networks:
            pictures += _draw_judgement(run, name, evaluation)
    pictures.sort(key=lambda path: place(path.stem))
    report_html(run.folder / "report.html", summary, run.recipe.to_toml(), pictures)


def _draw_losses(run: Run) -> list[Path]:
    history = [row for row in run.folder.read_metrics() if "return" not in row]
    if not history:  # metrics.jsonl may have been deleted after the last step
        return []
    optima = {name: value for row in history for name, value in row["optimum"].items()}
    losses_png(run.folder / "losses.png", history, optima)
    return [run.folder / "losses.png"]


def _draw_examples(run: Run, evaluation: Evaluation) -> list[Path]:
    cards = show_all(evaluation.parts)
    if not cards:
        return []
    examples_png(run.folder / "examples.png", cards)
    return [run.folder / "examples.png"]


def _draw_judgement(run: Run, network: str, evaluation: Evaluation) -> list[Path]:
    """What labels say of a network."""
    paths = [_path(run, kind, network) for kind in ("confusion", "reliability")]
    judged, symbols = evaluation.networks[network], [str(symbol) for symbol in run.domains[network]]
    confusion_png(paths[0], torch.from_numpy(judged.scores.confusion), symbols)
    reliability_png(paths[1], judged.calibration)
    return paths


def _draw_energy_model(run: Run, network: str, loader: AnyLoader) -> list[Path]:
    """What a network's energy model takes for data."""
    reading = run.readings[network]
    data = reading.scale.to_unit(loader.distinct(network)[:LARGEST])
    samples = run.sample(SAMPLES, network=network)
    few = data[:MEASURED].cpu() if reading.is_vector else (data[:MEASURED] * 255).round().to(torch.uint8)
    kinds = {f"training {'vectors' if reading.is_vector else 'images'}": data[:MEASURED], "samples": samples}
    kinds |= {name: load_outliers(name, few) for name in made_outliers(few)}
    paths = [_path(run, "energies", network)]
    if not reading.is_vector:
        paths += [_path(run, kind, network) for kind in ("samples", "neighbours")]
        draw_by_symbol(run, paths[1], samples, network)
        distances, rows = nearest(samples, data)
        above, below = (_side_by_side(x, reading.shape[0]).cpu() for x in (samples, data[rows]))
        neighbours_png(paths[2], above, below, distances.cpu())
    energies_png(paths[0], {kind: run.energy(x, network).cpu() for kind, x in kinds.items()})
    return paths


def _path(run: Run, kind: str, network: str) -> Path:
    """Of a picture; those of several networks have the network's name at their end."""
    return run.folder / (f"{kind}-{network}.png" if len(run.networks) > 1 else f"{kind}.png")


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
    samples_png(path, _side_by_side(images, colours).cpu(), labels.cpu(), confidence.cpu(), symbols)


def _side_by_side(images: Tensor, colours: int) -> Tensor:
    """The images that a network reads at once beside each other: [n, images * C, H, W] -> [n, C, H, images * W]."""
    return images.unflatten(1, (-1, colours)).permute(0, 2, 3, 1, 4).flatten(3)
