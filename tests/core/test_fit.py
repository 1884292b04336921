import math

import pytest
import torch
from torch import nn

from gedi_nesy.core.fit import DivergedError, Training, fit, moving_average
from gedi_nesy.core.objective import Objective
from gedi_nesy.core.schedule import Schedule
from gedi_nesy.core.sgld import ReplayBuffer

OBJECTIVE = Objective({"square": 1.0}, optima={"square": 0.0})


def new_training(seed=0):
    torch.manual_seed(seed)
    model = nn.Linear(3, 3)
    generator = torch.Generator().manual_seed(seed)
    buffer = ReplayBuffer(8, (3,), -1.0, 1.0, 0.5, generator, torch.device("cpu"))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    return Training(model, optimizer, generator, moving_average(model, 0.9), {"net": buffer})


def losses_of(training):
    def compute(step):
        indices, x = training.buffers["net"].draw(4, training.generator)
        training.buffers["net"].store(indices, x * 0.9)
        return {"square": training.model(x + step).pow(2).mean()}

    return compute


def run(training, steps, callbacks=()):
    fit(training, OBJECTIVE, losses_of(training), steps=steps, learning_rate=Schedule.of(0.1), callbacks=callbacks)


def weights(training):
    return torch.cat([p.flatten() for p in [*training.model.parameters(), *training.result.parameters()]])


def test_a_resumed_training_ends_bit_identical(tmp_path):
    whole = new_training()
    run(whole, 12)
    first = new_training()

    class Stop(Exception):
        pass

    def stop_at_five(training, losses, total):
        if training.step == 5:
            torch.save(training.state_dict(), tmp_path / "checkpoint.pt")
            raise Stop

    with pytest.raises(Stop):
        run(first, 12, [stop_at_five])
    second = new_training(seed=1)  # everything it starts with must come from the checkpoint
    second.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    run(second, 12)
    assert torch.equal(weights(second), weights(whole))
    assert torch.equal(
        second.buffers["net"].draw(8, second.generator)[1], whole.buffers["net"].draw(8, whole.generator)[1]
    )


def test_the_learning_rate_follows_its_schedule():
    training, seen = new_training(), []
    rate = Schedule.of([[0.0, 1.0], [1.0, 0.0]])

    def watch(training, losses, total):
        seen.append(training.optimizer.param_groups[0]["lr"])

    fit(training, OBJECTIVE, losses_of(training), steps=4, learning_rate=rate, callbacks=[watch])
    assert seen == [1.0, 0.75, 0.5, 0.25]


def test_the_moving_average_trails_the_weights_by_its_decay():
    model = nn.Linear(1, 1, bias=False)
    average = moving_average(model, 0.9)
    nn.init.constant_(model.weight, 1.0)
    average.update()  # the first update copies
    nn.init.constant_(model.weight, 2.0)
    average.update()
    assert average.module.weight.item() == pytest.approx(0.9 * 1 + 0.1 * 2)


def test_divergence_stops_before_the_weights_are_touched_and_names_the_term():
    training = new_training()
    before = weights(training).clone()

    def bad(step):
        return {"square": training.model.weight.sum() * math.inf}

    with pytest.raises(DivergedError, match="step 0: square"):
        fit(training, OBJECTIVE, bad, steps=3, learning_rate=Schedule.of(0.1))
    assert torch.equal(weights(training), before)
