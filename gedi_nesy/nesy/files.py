"""Predictions for a user's image files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.data.blank import are_blank
from gedi_nesy.data.image_file import read_image
from gedi_nesy.data.inputs import as_inputs
from gedi_nesy.data.npz import load_arrays
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.familiarity import percentiles, verdict
from gedi_nesy.nesy.reading import GREY
from gedi_nesy.nesy.run import Run

LITTLE = 0.5  # of an image's height and width; MNIST's digits fill 20 pixels of 28


def predict_files(run: Run, paths: Sequence[Path], network: str | None = None) -> list[dict[str, Any]]:
    """What a run sees in each image file; a file that can't be read does not cost the answers for the others.

    A network that reads vectors takes .npz files with one array [n, D] each, and answers for every row.

    Returns:
        For each file `image`, its path, and either `error`, why it can't be read, or: `symbol` and `probability`; the
        `second` most probable symbol and its `second_probability`; `energy` (high: unlike the training images);
        `percentile`, the share of the training images that are less familiar, in percent, and `verdict`, one of
        `report.words.VERDICTS` (both None for a run that has not measured its training images, but a blank image is
        called so by any run); where that is "inverted", `if_inverted`, the symbol of the image with light and dark
        swapped; and `fills`, the share of its height or width that the drawing fills, where the image is unlike the
        training images and that is little.
    """
    name = network or next(iter(run.readings))
    if name in run.readings and run.readings[name].is_vector:
        return [row for path in paths for row in _predict_vectors(run, path, network)]
    channels, height, width = run.readings[name].shape if name in run.readings else GREY
    read: dict[int, Tensor] = {}
    rows: list[dict[str, Any]] = [{"image": str(path)} for path in paths]
    for number, path in enumerate(paths):
        try:
            read[number] = read_image(path, (height, width), channels)
        except UserError as error:
            rows[number]["error"] = str(error)
    if read:
        for number, answer in zip(read, _predict(run, torch.stack([*read.values()]), network), strict=True):
            rows[number] |= answer
    return rows


def _predict(run: Run, images: Tensor, network: str | None) -> list[dict[str, Any]]:
    """The answers for uint8 images [n, C, H, W]."""
    rows, inverse = _symbols(run, images, network), _symbols(run, 255 - images, network)
    blank = are_blank(images / 255, images.shape[1]).tolist()
    energies = run.energy(images, network).tolist()
    own, inverted = percentiles(run, images, network), percentiles(run, 255 - images, network)
    for k, row in enumerate(rows):
        row["energy"] = energies[k]
        row["percentile"] = own[k] if own else None
        row["verdict"] = "blank" if blank[k] else verdict(own[k], inverted[k]) if own and inverted else None
        if row["verdict"] == "inverted":
            row["if_inverted"] = inverse[k]["symbol"]
        if row["verdict"] in ("unusual", "foreign", "inverted") and (share := _filled(images[k, 0])) < LITTLE:
            row["fills"] = share
    return rows


def _predict_vectors(run: Run, path: Path, network: str | None) -> list[dict[str, Any]]:
    """The answers for the vectors of a file, or why it can't be read."""
    try:
        arrays = load_arrays(path)
        if len(arrays) != 1:
            raise UserError(f"{path} has {', '.join(arrays) or 'no arrays'}; give one array of vectors, [n, D].")
        ((name, array),) = arrays.items()
        vectors = as_inputs(f"{path}: {name}", array)
        rows = _symbols(run, vectors, network)
    except UserError as error:
        return [{"image": str(path), "error": str(error)}]
    energies, own = run.energy(vectors, network).tolist(), percentiles(run, vectors, network)
    return [
        {"image": f"{path} [{k}]"}
        | row
        | {"energy": energies[k], "percentile": own and own[k], "verdict": verdict(own[k], 0.0) if own else None}
        for k, row in enumerate(rows)
    ]


def _filled(image: Tensor) -> float:
    """The share of its height or width, the larger one, that differs from the ground, [height, width] in bytes."""
    pixels = image.float()
    edge = torch.cat([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    away = (pixels - edge.median()).abs()
    ink = away > away.max() / 4
    return max(_extent(ink.any(1)), _extent(ink.any(0)))


def _extent(inked: Tensor) -> float:
    """The lines from the first with ink to the last, as a share of all lines."""
    lines = inked.nonzero()
    return (int(lines.max() - lines.min()) + 1) / len(inked) if len(lines) else 0.0


def _symbols(run: Run, images: Tensor, network: str | None) -> list[dict[str, Any]]:
    """The two most probable symbols of each image; a network of one symbol has no second."""
    domain = run.domains[network or next(iter(run.domains))]
    values, order = run.log_probs(images, network).exp().topk(min(2, len(domain)))
    rows = []
    for probabilities, symbols in zip(values.tolist(), order.tolist(), strict=True):
        pairs = [(str(domain[symbol]), probability) for symbol, probability in zip(symbols, probabilities, strict=True)]
        (symbol, probability), (second, next_best) = (*pairs, (None, None))[:2]
        rows.append({"symbol": symbol, "probability": probability, "second": second, "second_probability": next_best})
    return rows
