"""Packages that only an extra of gedi-nesy installs, and the sentence where one is missing."""

from importlib import import_module
from typing import Any

from gedi_nesy.errors import UserError


def load_extra(module: str, extra: str, purpose: str) -> Any:
    """A module of a package that the extra brings.

    Args:
        module: its name, with dots.
        extra: of pyproject.toml.
        purpose: the feature that needs it, as the subject of a sentence.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] != module.split(".")[0]:
            raise  # the package is there, but one that it needs is not
        package = module.split(".")[0].replace("_", "-")
        raise UserError(f"{purpose} needs the package {package}: pip install 'gedi-nesy[{extra}]'.") from error
