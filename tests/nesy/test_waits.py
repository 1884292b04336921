"""A step of the rule track looks at no value, so that a GPU never waits for Python."""

import torch

from gedi_nesy.core.chains import Chains
from gedi_nesy.core.checks import Checks
from gedi_nesy.core.fit import Training
from gedi_nesy.core.sgld import SGLD, ReplayBuffer
from gedi_nesy.logic import Constraint
from gedi_nesy.nesy.candidates import Candidates, Shape
from gedi_nesy.nesy.losses import StepLosses
from gedi_nesy.nesy.recipe import load_recipe
from tests.waits import Waits

WEIGHTS = {"gen": 1.0, "energy_l2": 0.1, "distorted": 1.0, "teacher": 1.0, "nesy": 1.0, "prior": 1.0, "inv": 1.0}


def test_no_value_is_looked_at(loader):
    addition = Constraint.from_file("addition")  # a rule of its own, whose looks are late
    addition.looks.late = True
    settings = {f"student.weights.{name}": value for name, value in WEIGHTS.items()} | {"sampler.engine": "torch"}
    recipe = load_recipe("gedi-nesy", settings | {"student.prior": "uniform", "student.dropout": 0.0})
    model = Candidates({"digits": Shape(10)}, 1, 0)
    generator = torch.Generator().manual_seed(0)
    buffer = ReplayBuffer(40, (1, 28, 28), -1.0, 1.0, 0.1, generator, torch.device("cpu"))
    chains = Chains(model.networks(0)["digits"], SGLD(steps=2), buffer, 8, generator)
    training = Training(model, torch.optim.Adam(model.parameters()), generator, chains={"digits": chains})
    training.checks = Checks(late=True)
    targets = {variable.key: torch.full((len(loader), 10), 0.1) for variable in addition.variables}
    losses = StepLosses(recipe, recipe.student, addition, loader, training, 0, [targets])
    losses(0)
    addition.looks.settle()
    with Waits() as waits:
        found = losses(1)
        losses.objective(found, 0.1).backward()
    assert set(found) == set(WEIGHTS)
    assert waits.found == []
