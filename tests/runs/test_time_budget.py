"""Phases that end at a budget of time, with a clock that ticks once a step."""

from gedi_nesy.runs.phases import Callback, train_phases
from gedi_nesy.runs.rollback import Guard, Rollback
from gedi_nesy.runs.time_budget import TimeBudget
from tests.runs.test_phases import Climber


class Clock(Callback):
    """A second a step, after some seconds before the first."""

    def __init__(self, before=0.0):
        self.seconds = before

    def __call__(self, training, losses, total):
        self.seconds += 1


def trained(budget, before=0.0, state=None):
    learner, clock, saved = Climber(), Clock(before), []  # two phases of 4 steps
    time = TimeBudget(budget, learner.phases, lambda: clock.seconds, lambda at: saved.append(at.phase.name))
    time.load_state_dict(state or {})
    training = train_phases(learner, Rollback(Guard()), [clock, time])
    return training, time, saved


def test_without_a_budget_phases_take_all_their_steps():
    training, time, saved = trained(None)
    assert (training.step, time.steps, time.figures(), saved) == (4, 8, {}, [])


def test_each_phase_ends_at_its_share_and_is_saved_there():
    training, time, saved = trained(6.0)  # the first until 3 s, the second until 6 s
    assert training.model.value.item() == 3.0
    assert (time.steps, saved) == (6, ["first", "second"])
    assert time.figures() == {"ended_early": ["first after 3 of 4 steps", "second after 3 of 4 steps"]}


def test_what_one_phase_leaves_the_next_one_has():
    _, time, _ = trained(8.0)  # four seconds each, as many as they take
    assert (time.steps, time.figures()) == (8, {})
    _, time, _ = trained(6.0, before=1.0)  # the first until 3.5 s, the second from 4 s until 6 s
    assert time.taken == {"first": 3, "second": 2}


def test_a_phase_that_had_ended_takes_no_further_step():
    training, time, saved = trained(100.0, state={"time": {"ended_early": {"second": 2}, "began": {}}})
    assert (training.step, time.steps, saved) == (0, 6, [])


def test_each_phase_takes_a_step_when_the_time_is_over():
    _, time, saved = trained(2.0, before=3.0)
    assert time.figures() == {"ended_early": ["first after 1 of 4 steps", "second after 1 of 4 steps"]}
    assert saved == ["first", "second"]
