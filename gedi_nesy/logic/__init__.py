"""The constraint engine: ProbLog text becomes an exact, batched, differentiable log-probability.

It imports no training. A program goes one way: program (text, checks) -> query -> grounder (DeepProbLog's engine,
guarded) -> ground (values) -> ground_graph -> diagram, conjunction -> compile (a race of orders), cache -> layout
-> circuit (torch) -> constraint.
"""

import warnings

# DeepProbLog says on import that its approximate engine lacks PySwip; nothing here uses that engine.
warnings.filterwarnings("ignore", message="ApproximateEngine is not available")

from gedi_nesy.logic.constraint import Constraint  # noqa: E402

__all__ = ["Constraint"]
