"""The loop over the phases of a training, with a learner of one number."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from gedi_nesy.core.fit import DivergedError, Training
from gedi_nesy.core.objective import Objective
from gedi_nesy.core.schedule import Schedule
from gedi_nesy.runs.phases import Callback, Phase, train_phases
from gedi_nesy.runs.rollback import Guard, Rollback


class Number(nn.Module):
    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))


class Climber:
    """Its number grows by the learning rate a step; at the steps of `explode` its loss is infinite, once each."""

    def __init__(self, explode=()):
        stage = SimpleNamespace(learning_rate=Schedule.of(1.0))
        self.phases = [Phase(k, name, stage, k, 4) for k, name in enumerate(["first", "second"])]
        self.explode, self.begun = list(explode), []

    def begin(self, phase, before):
        self.begun.append((phase.name, None if before is None else before.model.value.item()))
        model = Number()
        return Training(model, torch.optim.SGD(model.parameters(), lr=1.0), torch.Generator())

    def losses(self, phase, training):
        def losses(step):
            if (phase.name, step) in self.explode:
                self.explode.remove((phase.name, step))
                return {"climb": training.model.value * torch.inf}
            return {"climb": -training.model.value}

        losses.objective = Objective({"climb": 1.0})
        return losses


class Starts(Callback):
    def __init__(self):
        self.places = []

    def on_start(self, state):
        self.places.append((state.phase.name, state.training.step))


def test_phases_follow_each_other():
    learner, starts = Climber(), Starts()
    training = train_phases(learner, Rollback(Guard()), [starts])
    assert learner.begun == [("first", None), ("second", 4.0)]
    assert starts.places == [("first", 0), ("second", 0)]
    assert (training.step, training.model.value.item()) == (4, 4.0)


def test_a_phase_that_diverges_goes_back_and_on_with_smaller_steps():
    learner, starts = Climber([("second", 3)]), Starts()
    rollback = Rollback(Guard(retries=1, every=2))
    training = train_phases(learner, rollback, [starts])
    assert starts.places == [("first", 0), ("second", 0), ("second", 0)]  # the older of two states: that of the start
    assert [(entry["stage"], entry["step"]) for entry in rollback.returns] == [("second", 0)]
    assert training.model.value.item() == 4 * 0.5


def test_a_phase_that_may_not_go_back_ends_the_training():
    with pytest.raises(DivergedError, match="step 1: climb = "):
        train_phases(Climber([("first", 1)]), Rollback(Guard()))


def test_a_later_phase_can_be_the_first_and_go_on_where_it_stood():
    def restore(training):
        training.step = 3

    learner, starts = Climber(), Starts()
    training = train_phases(learner, Rollback(Guard()), [starts], first=1, restore=restore)
    assert learner.begun == [("second", None)]
    assert starts.places == [("second", 3)]
    assert training.model.value.item() == 1.0
