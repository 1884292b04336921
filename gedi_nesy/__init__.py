"""gedi-nesy: neural networks that learn symbols without labels, from a ProbLog rule and an energy-based model."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from gedi_nesy.errors import UserError

if TYPE_CHECKING:
    from gedi_nesy.core import losses
    from gedi_nesy.core.objective import Objective
    from gedi_nesy.core.sgld import SGLD, ReplayBuffer
    from gedi_nesy.logic.constraint import Constraint
    from gedi_nesy.logic.ground_rule import GroundRule
    from gedi_nesy.nesy.run import Run, load_run
    from gedi_nesy.nesy.train import train
    from gedi_nesy.vision.estimator import GEDIClustering

__version__ = version("gedi-nesy")
__all__ = [
    "SGLD",
    "Constraint",
    "GEDIClustering",
    "GroundRule",
    "Objective",
    "ReplayBuffer",
    "Run",
    "UserError",
    "load_run",
    "losses",
    "train",
]

# each name is loaded when it is first used: torch and DeepProbLog take seconds
_PLACES = {
    "SGLD": "core.sgld",
    "Constraint": "logic.constraint",
    "GEDIClustering": "vision.estimator",
    "GroundRule": "logic.ground_rule",
    "Objective": "core.objective",
    "ReplayBuffer": "core.sgld",
    "Run": "nesy.run",
    "load_run": "nesy.run",
    "losses": "core.losses",
    "train": "nesy.train",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'gedi_nesy' has no attribute {name!r}")
    module = import_module(f"gedi_nesy.{_PLACES[name]}")
    return module if name == "losses" else getattr(module, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
