"""A run that an experiment needs: trained, resumed or kept, whichever its folder is in need of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gedi_nesy.compare import changed_settings
from gedi_nesy.vision.recipe import load_recipe
from gedi_nesy.vision.train import resume, train_seeds


def run_once(recipe: str, folder: Path, overrides: Mapping[str, Any], data_dir: Path | None = None) -> None:
    """Train, resume or keep what is in the folder, which must have these settings."""
    config = folder / "config.toml"
    if not config.exists():
        train_seeds(recipe, out=folder, data_dir=data_dir, **overrides)
        return
    changed = changed_settings(load_recipe(str(config)).to_toml(), load_recipe(recipe, overrides).to_toml())
    for key, (old, new) in changed.items():
        raise click.ClickException(f"{folder} has {key} = {old!r}, and not {new!r}; choose another folder by --runs.")
    if not (folder / "summary.json").exists():
        resume(folder, data_dir=data_dir)
