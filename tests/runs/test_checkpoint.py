"""A checkpoint may come from anybody: what is not of this training is refused in one sentence."""

import copy

import pytest
import torch
from torch import nn

from gedi_nesy.core.fit import Training
from gedi_nesy.errors import UserError
from gedi_nesy.runs.checkpoint import check_place, restore
from gedi_nesy.runs.folder import RunFolder


def stepped():
    """A training of one linear layer after one step of Adam."""
    net = nn.Linear(2, 2)
    training = Training(net, torch.optim.Adam(net.parameters(), lr=0.1), torch.Generator())
    net(torch.ones(1, 2)).sum().backward()
    training.optimizer.step()
    training.step = 1
    return training


def test_the_place_is_one_of_the_training(tmp_path):
    folder, good = RunFolder(tmp_path), {"phase": 1, "seconds": 2.0, "training": {"step": 3}}
    check_place(good, 2, folder)
    check_place(None, 2, folder)
    changes = {"phase": (1.5, 2, -1, "0"), "seconds": ("x", float("nan"), -1.0), "training": ({"step": -1}, {}, None)}
    for key, values in changes.items():
        for value in values:
            with pytest.raises(UserError, match=r"checkpoint.pt does not fit"):
                check_place(good | {key: value}, 2, folder)


def test_only_a_training_of_the_same_settings_is_restored(tmp_path):
    good, training = copy.deepcopy(stepped().state_dict()), stepped()
    restore(training, good, RunFolder(tmp_path))
    assert torch.equal(training.model.weight, good["model"]["weight"])

    def other_moments(state):
        state["optimizer"]["state"][0]["exp_avg"] = torch.zeros(3)

    def other_betas(state):
        state["optimizer"]["param_groups"][0]["betas"] = ("a", "b")

    def no_optimizer(state):
        state["optimizer"] = [1]

    def other_generator(state):
        state["generator"] = torch.zeros(3)

    for damage in (other_moments, other_betas, no_optimizer, other_generator):
        state = copy.deepcopy(good)
        damage(state)
        with pytest.raises(UserError, match=r"checkpoint.pt does not fit"):
            restore(stepped(), state, RunFolder(tmp_path))
