"""The constraint engine turns ProbLog text into an exact, batched, differentiable log-probability.

It is usable alone and imports no training. A program goes one way through it:

    program (text, checks) -> query -> grounder (DeepProbLog's engine, guarded), reading -> ground (values)
    -> ground_graph, diagram, conjunction, compile (a race of variable orders), cache -> compiled
    -> layout -> circuit (torch), circuits -> constraint, the public face

Beside this way stand what a caller passes in (inputs, arguments, evidence: columns), the rule's own probabilities
(fact_weights), what a rule that holds says of symbols and arguments (posterior), what it says before any input
(solutions, worlds, likelihood, renaming: analysis; concept_maps, alignment), and the same rule in DeepProbLog
(deepproblog).
"""

import warnings

with warnings.catch_warnings():  # DeepProbLog says on import that an engine lacks PySwip, which nothing here uses
    warnings.filterwarnings("ignore", message="ApproximateEngine is not available")
    import deepproblog.engines  # noqa: F401

from gedi_nesy.logic.constraint import Constraint

__all__ = ["Constraint"]
