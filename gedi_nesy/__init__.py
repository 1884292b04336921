"""gedi-nesy: neural networks that learn symbols without labels, from a ProbLog rule and an energy-based model."""

from gedi_nesy.core import losses
from gedi_nesy.core.objective import Objective
from gedi_nesy.core.sgld import SGLD
from gedi_nesy.errors import UserError
from gedi_nesy.nesy.constraint import Constraint
from gedi_nesy.nesy.run import Run, load_run
from gedi_nesy.nesy.train import train
from gedi_nesy.vision.estimator import GEDIClustering

__all__ = ["SGLD", "Constraint", "GEDIClustering", "Objective", "Run", "UserError", "load_run", "losses", "train"]
