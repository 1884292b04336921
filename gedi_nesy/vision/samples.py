"""Samples of a run's energy model: images as bytes, and a picture of images or of points in the plane."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from gedi_nesy.data.points import load_points
from gedi_nesy.errors import UserError
from gedi_nesy.report.plane import density_png
from gedi_nesy.report.samples import samples_png
from gedi_nesy.vision.density import Grid
from gedi_nesy.vision.picture import CELLS, show_plane
from gedi_nesy.vision.run import Run, plane_around

CHAINS = 250  # chains that run at a time


def draw_images(
    run: Run, n: int, steps: int, seed: int = 0, progress: Callable[[str], None] = lambda text: None
) -> Tensor:
    """Images that the energy model draws, uint8 [n, C, H, W] on CPU: SGLD chains of so many steps from uniform noise.

    Raises:
        UserError: if the run's recipe has no [sampler], or chains leave the finite numbers.
    """
    parts = []
    for first in range(0, n, CHAINS):
        progress(f"samples {first + 1:,} to {min(first + CHAINS, n):,} of {n:,}, {steps:,} SGLD steps each")
        # chains have seeds of their own, so that no two parts are alike
        part = _sample(run, min(CHAINS, n - first), steps, seed + first)
        parts.append(part.round().clamp(0, 255).to(torch.uint8).cpu())
    return torch.cat(parts)


def draw_samples(run: Run, path: Path, n: int, *, steps: int, seed: int = 0) -> None:
    """Write a picture of n samples to a PNG: a grid of images, or points in the plane beside the test points.

    Raises:
        UserError: if the run's recipe has no [sampler], or it is on points of another dimension, or chains leave the
            finite numbers.
    """
    if run.reads_images:
        samples_png(path, draw_images(run, n, steps, seed) / 255)
        return
    of = run.recipe
    points = load_points(of.dataset, of.examples, of.seed, of.data_noise)
    if points.x_test.shape[1] != 2:
        raise UserError(f"Points of {points.x_test.shape[1]} columns can't be drawn; take them from Run.sample.")
    around = plane_around(run.scale.to_inputs(points.x_train.to(run.scale.shift)))
    plane = show_plane(run.networks, run.scale, Grid(around.low, around.high, CELLS), "test points")
    density_png(path, plane, points.x_test.numpy(), _sample(run, n, steps, seed).cpu().numpy())


def _sample(run: Run, n: int, steps: int, seed: int) -> Tensor:
    try:
        return run.sample(n, steps=steps, seed=seed)
    except FloatingPointError as error:
        raise UserError(f"The energy model of {run.folder.path} can't be sampled from: {error}") from error
