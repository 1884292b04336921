"""How familiar an image is, compared with the training images, and what follows for its prediction."""

from typing import Any

import numpy as np
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.nesy.joint import AnyLoader
from gedi_nesy.nesy.run import Run

MEASURED = 1000  # examples whose images say what is familiar
FOREIGN, UNUSUAL = 1.0, 5.0  # percentiles below which an image is called so


def familiarity_quantiles(run: Run, loader: AnyLoader) -> dict[str, list[float]]:
    """For each network the 0th, 1st, ... 100th percentile of its training images' familiarity, in nats."""
    few = loader.some(MEASURED)
    return {
        name: np.percentile(
            run.familiarity(loader.readings[name].scale.to_unit(few.distinct(name)), name).cpu(), range(101)
        ).tolist()
        for name in few.calls
    }


def percentiles(run: Run, images: Tensor, network: str | None = None) -> list[float] | None:
    """For each image the share of the training images that are less familiar, in percent.

    None for a run that has not measured its training images, as older ones have not.

    Raises:
        UserError: if what summary.json has for it are no percentiles.
    """
    measured = run.summary.get("familiarity")
    if measured is None:
        return None
    name = network or next(iter(run.networks))
    quantiles = _read_quantiles(measured, name)
    if quantiles is None:
        raise UserError(f"{run.folder / 'summary.json'} is damaged: familiarity.{name} must be 101 rising numbers.")
    one_by_one = [run.familiarity(image[None], network).item() for image in images]  # each under the same views
    percentiles: list[float] = np.interp(one_by_one, quantiles, range(101)).tolist()
    return percentiles


def verdict(percentile: float, inverted: float) -> str:
    """One of `report.words.VERDICTS`, from the percentiles of an image that is not blank and of its inverse."""
    if percentile >= FOREIGN:
        return "familiar" if percentile >= UNUSUAL else "unusual"
    return "inverted" if inverted >= FOREIGN else "foreign"


def _read_quantiles(measured: Any, name: str) -> np.ndarray | None:
    try:
        values = np.asarray(measured[name], dtype=float)
    except (KeyError, TypeError, ValueError):
        return None
    rising = values.shape == (101,) and np.isfinite(values).all() and (np.diff(values) >= 0).all()
    return values if rising else None
