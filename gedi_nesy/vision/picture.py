"""The pictures and the report of a finished run of the vision track."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.data.points import Points
from gedi_nesy.report.html import report_html
from gedi_nesy.report.losses import losses_png
from gedi_nesy.report.plane import Plane, clusters_png, density_png, training_png
from gedi_nesy.report.samples import samples_png
from gedi_nesy.vision.density import Grid
from gedi_nesy.vision.networks import AnyNetworks, new_networks
from gedi_nesy.vision.run import Run, plane_around
from gedi_nesy.vision.scale import Scale
from gedi_nesy.vision.snapshots import Snapshot

CELLS = 160  # of a picture, on each side
SAMPLES, SAMPLE_STEPS = 300, 1000
IMAGES, IMAGE_STEPS = 64, 500  # of samples.png; the paper's steps


def draw_pictures(
    run: Run,
    summary: dict[str, Any],
    points: Points,
    history: Sequence[Mapping[str, Any]],
    snapshots: Sequence[Snapshot],
) -> None:
    """Write losses.png and report.html.

    For points in the plane it also writes clusters.png, density.png and training.png, and for images samples.png, if
    there is an energy model. If it can't be sampled from, `picture_failed` of the summary says why.
    """
    folder = run.folder
    optima = {name: value for row in history for name, value in row["optimum"].items()}
    pictures = []
    if history:  # metrics.jsonl may have been deleted after the last step
        losses_png(folder / "losses.png", history, optima)
        pictures = [folder / "losses.png"]
    samples, lost = _draw_samples(run, points)
    if points.are_images and samples is not None:
        draw_image_samples(run, samples)
        pictures = [folder / "samples.png", *pictures]
    if points.in_plane:
        draw_planes(run, points, snapshots, samples)
        pictures = [folder / name for name in ("clusters.png", "density.png", "training.png")] + pictures
    if lost:
        summary["picture_failed"] = lost
    report_html(folder / "report.html", summary, run.recipe.to_toml(), pictures)


def _draw_samples(run: Run, points: Points) -> tuple[Tensor | None, str | None]:
    """Samples for the pictures, or why there are none though there is an energy model."""
    if not run.recipe.has_energy_model or not (points.are_images or points.in_plane):
        return None, None
    number, steps = (IMAGES, IMAGE_STEPS) if points.are_images else (SAMPLES, SAMPLE_STEPS)
    try:
        return run.sample(number, steps=steps), None
    except FloatingPointError as error:  # a finished run is worth keeping without samples
        return None, str(error)


def draw_image_samples(run: Run, samples: Tensor) -> None:
    """Write samples.png of a run on images: chains from noise, a row for each cluster that the network sees in them."""
    confidence, clusters = run.log_probs(samples).exp().max(-1)
    names = [f"cluster {k}" for k in range(run.clusters)] if run.clusters <= IMAGES else None
    samples_png(run.folder / "samples.png", samples / 255, clusters, confidence, names)


def draw_planes(run: Run, points: Points, snapshots: Sequence[Snapshot], samples: Tensor | None) -> None:
    """Write clusters.png, density.png and training.png of a run on points in the plane."""
    grid = plane_around(run.scale.to_inputs(points.x_train.to(run.scale.shift)))
    grid = Grid(grid.low, grid.high, CELLS)
    test = points.x_test.numpy()
    final = show_plane(run.networks, run.scale, grid, "test points")
    clusters_png(run.folder / "clusters.png", final, test)
    density_png(run.folder / "density.png", final, test, None if samples is None else samples.cpu().numpy())
    planes = []
    for shot in snapshots:
        networks = new_networks(run.recipe, 1, (2,), run.clusters, 0).to(run.scale.shift.device)
        networks.load_state_dict(shot.weights)
        planes.append(show_plane(networks, run.scale, grid, f"{shot.stage} {shot.step:,}"))
    training_png(run.folder / "training.png", planes)


@torch.no_grad()
def show_plane(networks: AnyNetworks, scale: Scale, grid: Grid, title: str) -> Plane:
    """The outputs of the first network over a grid of inputs, drawn in the points' units."""
    centres = grid.centres(scale.shift.device)
    logits = networks(centres.expand(networks.count, -1, -1))[0].unflatten(0, (grid.cells, grid.cells))
    density = logits.logsumexp(-1)
    density -= density.flatten().logsumexp(0) + grid.log_area + scale.spread.log().sum()
    corners = torch.tensor([[grid.low, grid.low], [grid.high, grid.high]], device=centres.device)
    (left, bottom), (right, top) = scale.to_points(corners).tolist()
    return Plane(title, (left, right, bottom, top), logits.softmax(-1).cpu().numpy(), density.cpu().numpy())
