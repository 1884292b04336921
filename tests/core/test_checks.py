"""Numbers that a GPU would give a step late: judged in time, and nothing is kept of a step that was not judged."""

import copy
import math

import pytest
import torch
from torch import nn

from gedi_nesy.core.checks import Checks
from gedi_nesy.core.fit import DivergedError, Training, fit
from gedi_nesy.core.objective import Objective
from gedi_nesy.core.schedule import Schedule


def noting(seen):
    return lambda numbers: seen.extend(numbers)


def numbers(*values):
    return torch.tensor(values)


def test_on_the_cpu_numbers_are_judged_at_once():
    seen = []
    Checks().expect(numbers(1.0, 2.0), noting(seen))
    assert seen == [1.0, 2.0]


def test_late_numbers_are_judged_when_the_next_step_is_launched_as_they_were():
    checks, seen, value = Checks(late=True), [], numbers(1.0)
    checks.expect(value, noting(seen))
    value.fill_(5.0)
    checks.turn()
    assert seen == []
    checks.expect(value, noting(seen))
    checks.turn()
    assert seen == [1.0]
    checks.settle()
    assert seen == [1.0, 5.0]
    checks.settle()
    assert seen == [1.0, 5.0]


def test_what_was_cleared_is_never_judged():
    checks, seen = Checks(late=True), []
    checks.expect(numbers(1.0), noting(seen))
    checks.turn()
    checks.expect(numbers(2.0), noting(seen))
    checks.clear()
    checks.turn()
    checks.settle()
    assert seen == []


def diverging_at(bad, watch=lambda *_: None):
    """A training with late checks whose loss is not finite at a step; the steps that were begun."""
    torch.manual_seed(0)
    model, begun = nn.Linear(2, 1), []
    training = Training(model, torch.optim.SGD(model.parameters(), 0.1), torch.Generator(), checks=Checks(late=True))

    def losses(step):
        begun.append(step)
        return {"square": model.weight.square().sum() * (math.inf if step == bad else 1.0)}

    with pytest.raises(DivergedError, match=f"step {bad}: square = inf"):
        fit(training, Objective({"square": 1.0}), losses, steps=5, learning_rate=Schedule.of(0.1), callbacks=[watch])
    return begun


def test_a_late_divergence_ends_the_training_one_step_later():
    assert diverging_at(bad=2) == [0, 1, 2, 3]


def test_no_state_of_a_diverged_step_is_given_away():
    kept = []

    def keep(training, losses, total):
        kept.append(copy.deepcopy(training.state_dict()))

    assert diverging_at(2, keep) == [0, 1, 2]  # asked for its state, the training tells at once
    assert [state["step"] for state in kept] == [1, 2]
    assert all(state["model"]["weight"].isfinite().all() for state in kept)


def test_a_restored_training_forgets_the_numbers_of_the_one_that_diverged():
    model = nn.Linear(2, 1)
    training = Training(model, torch.optim.SGD(model.parameters(), 0.1), torch.Generator(), checks=Checks(late=True))
    state = training.state_dict()

    def refuse(numbers):
        raise DivergedError("too late")

    training.checks.expect(numbers(1.0), refuse)
    training.load_state_dict(state)
    training.checks.settle()
