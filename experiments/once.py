"""A run that an experiment needs: trained, resumed or kept, as its folder requires."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from torch import Tensor

import gedi_nesy as gn
from gedi_nesy.nesy import train as nesy
from gedi_nesy.nesy.compare import read_config
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.runs.compare.scheduler import changed_settings
from gedi_nesy.vision import train as vision
from gedi_nesy.vision.compare import read_config as read_vision_config
from gedi_nesy.vision.recipe import load_recipe as load_vision_recipe


def run_once(recipe: str, folder: Path, overrides: Mapping[str, Any], data_dir: Path | None = None) -> gn.Run:
    """A finished run with these settings, which an existing folder must have."""
    if not (folder / "config.toml").exists():
        return gn.train(recipe, out=folder, data_dir=data_dir, **overrides)
    wanted = nesy.settle(load_recipe(recipe, overrides), data_dir=data_dir)
    _check(folder, read_config(folder / "config.toml"), wanted.to_toml())
    return gn.load_run(folder) if (folder / "summary.json").exists() else nesy.resume(folder, data_dir=data_dir)


def run_on(data: Mapping[str, Any], folder: Path, overrides: Mapping[str, Any]) -> gn.Run:
    """A finished run of our recipe on given examples, which an existing folder's are taken to be."""
    if (folder / "summary.json").exists():
        return gn.load_run(folder)
    if (folder / "config.toml").exists():
        return nesy.resume(folder, progress=False)
    return gn.train(data=data, out=folder, progress=False, notify=click.echo, **overrides)


def write_labels(path: Path, images: Tensor, symbols: Iterable[object]) -> str:
    """Labelled inputs of a rule with a single network as a file, of which this is the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, image=images.numpy(), symbol=[str(symbol) for symbol in symbols])
    return str(path)


def vision_run_once(recipe: str, folder: Path, overrides: Mapping[str, Any]) -> None:
    """A finished run of the vision track with these settings: of one seed, or of several side by side."""
    if not (folder / "config.toml").exists():
        vision.train_seeds(recipe, out=folder, **overrides)
        return
    _check(folder, read_vision_config(folder / "config.toml"), load_vision_recipe(recipe, overrides).to_toml())
    if not (folder / "summary.json").exists():
        vision.resume(folder)


def _check(folder: Path, found: str, wanted: str) -> None:
    for key, (old, new) in changed_settings(found, wanted).items():
        raise click.ClickException(f"{folder} has {key} = {old!r}, and not {new!r}; choose another folder by --runs.")
