"""Chains that advance themselves: in the step, and beside it in a second thread."""

import copy
import math

import pytest
import torch
from torch import nn

from gedi_nesy.core.chains import Chains
from gedi_nesy.core.sgld import SGLD, ReplayBuffer


def chains(model, ahead, seed=0, renew=None):
    generator = torch.Generator().manual_seed(seed)
    buffer = ReplayBuffer(20, (2,), -1.0, 1.0, 0.1, generator, torch.device("cpu"))
    return Chains(model, SGLD(steps=3, step_size=0.5), buffer, 8, generator, ahead=ahead, renew=renew)


def network():
    torch.manual_seed(0)
    return nn.Linear(2, 3)


def change(model):
    with torch.no_grad():
        model.weight += 0.5


def test_in_the_step_samples_are_the_samplers():
    model = network()
    ours, buffer, generator = chains(model, False), *(lambda c: (c.buffer, c.generator))(chains(model, False))
    for _ in range(3):
        indices, drawn = buffer.draw(8, generator)
        expected = SGLD(steps=3, step_size=0.5)(model, drawn, generator)
        buffer.store(indices, expected)
        assert torch.equal(ours(), expected)
        change(model)
    assert torch.equal(ours.buffer.samples, buffer.samples)


def test_ahead_samples_are_those_of_the_weights_of_the_call_before():
    model = network()
    ours, steady = chains(model, True), chains(network(), False)
    assert torch.equal(ours(), steady())  # the first call has to wait for its own
    change(model)
    assert torch.equal(ours(), steady())  # the model has changed, its chains not yet
    change(steady.model)
    assert torch.equal(ours(), steady())


@pytest.mark.parametrize("ahead", [False, True])
def test_restored_chains_go_on_bit_identically(ahead):
    model, other = network(), network()
    whole, resumed = chains(model, ahead), chains(other, ahead, seed=5)
    whole()
    change(model)
    whole()
    saved = {"chains": whole.state_dict(), "generator": whole.generator.get_state(), "model": model.state_dict()}
    saved = copy.deepcopy(saved)
    expected = [whole(), whole()]
    resumed()  # what is under way when the state is loaded is dropped
    other.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["chains"])
    resumed.generator.set_state(saved["generator"])
    for samples in expected:
        assert torch.equal(resumed(), samples)


def test_a_state_taken_while_the_thread_works_changes_nothing():
    looked_at, left_alone = chains(network(), True), chains(network(), True)
    for _ in range(3):
        looked_at.state_dict()
        assert torch.equal(looked_at(), left_alone())


def test_renewed_chains_start_elsewhere():
    moved = chains(network(), False, renew=lambda drawn, generator: drawn + 100)()
    assert moved.min() > 90


def test_chains_that_explode_in_the_thread_show_it_in_the_next_call():
    model = network()
    ours = chains(model, True)
    ours()
    model.weight.data.fill_(math.nan)
    ours()
    assert not ours().isfinite().all()
