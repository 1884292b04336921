"""The pictures and the report of a finished run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gedi_nesy.core.metrics import Scores
from gedi_nesy.nesy.run import Run
from gedi_nesy.report import confusion_png, losses_png, report_html, samples_png

SAMPLES = 100


def draw_pictures(run: Run, summary: dict[str, Any], scores: Mapping[str, Scores]) -> None:
    """Write losses.png, report.html, samples.png where L_GEN was on, and confusion.png where there are labels."""
    folder = run.folder
    history = folder.read_metrics()
    optima = {name: value for row in history for name, value in row["optimum"].items()}
    pictures = []
    if history:  # metrics.jsonl may have been deleted after the last step
        losses_png(folder / "losses.png", history, optima)
        pictures = [folder / "losses.png"]
    for name in run.networks:
        suffix = f"-{name}" if len(run.networks) > 1 else ""
        if run.recipe.has_energy_model:
            draw_samples(run, folder / f"samples{suffix}.png", SAMPLES, network=name)
            pictures.append(folder / f"samples{suffix}.png")
        if name in scores:
            matrix = torch.from_numpy(scores[name].confusion)
            confusion_png(folder / f"confusion{suffix}.png", matrix, [str(symbol) for symbol in run.domains[name]])
            pictures.append(folder / f"confusion{suffix}.png")
    report_html(folder / "report.html", summary, run.recipe.to_toml(), pictures)


def draw_samples(
    run: Run, path: Path, n: int, *, network: str | None = None, steps: int | None = None, seed: int = 0
) -> None:
    """Draw n samples of the energy model to a PNG, a row for each symbol that the network sees in them."""
    samples = run.sample(n, steps=steps, seed=seed, network=network)
    confidence, labels = run.log_probs(samples, network).exp().max(-1)
    symbols = [str(symbol) for symbol in run.domains[network or next(iter(run.domains))]]
    side_by_side = samples.transpose(1, 2).flatten(2).unsqueeze(1)  # the images that a network reads at once
    samples_png(path, side_by_side.cpu(), labels.cpu(), confidence.cpu(), symbols)
