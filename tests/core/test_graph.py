"""SGLD as one CUDA graph: the same samples as the loop's, and a recording of its own for whatever differs."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from gedi_nesy.core.chain.graph import recording_key
from gedi_nesy.core.sgld import SGLD
from gedi_nesy.errors import UserError

SAMPLER = SGLD(steps=5, step_size=0.1, noise=0.01, engine="graph")
on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def network(device="cpu"):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(144, 3)).to(device)


def key(settings=SAMPLER, model=None, x=None, generator=None):
    return recording_key(settings, model or MODEL, X if x is None else x, generator or GENERATOR)


MODEL, X, GENERATOR = network(), torch.zeros(2, 1, 8, 8), torch.Generator()


def test_a_graph_is_refused_where_there_is_none():
    with pytest.raises(UserError, match='engine samples on CUDA, not on cpu; use engine="torch"'):
        SAMPLER(MODEL, X, GENERATOR)


def test_new_weights_in_their_old_place_need_no_new_recording():
    before = key()
    with torch.no_grad():
        for parameter in MODEL.parameters():
            parameter.add_(1.0)
    assert key(x=torch.ones_like(X)) == before
    assert hash(before) == hash(key())


@pytest.mark.parametrize(
    "other",
    [
        {"settings": replace(SAMPLER, steps=6)},
        {"x": torch.zeros(3, 1, 8, 8)},
        {"x": X.double()},
        {"generator": torch.Generator()},
        {"model": network()},
        {"model": network().eval()},
    ],
)
def test_whatever_differs_is_recorded_for_itself(other):
    assert key(**other) != key()


@on_cuda
def test_replays_are_the_loops_samples_with_weights_as_they_are_then():
    model, x = network("cuda"), torch.rand(16, 1, 8, 8, device="cuda")
    ours, theirs = (torch.Generator("cuda").manual_seed(3) for _ in range(2))
    for _ in range(3):
        expected = replace(SAMPLER, engine="torch")(model, x, theirs)
        torch.testing.assert_close(SAMPLER(model, x, ours), expected, rtol=0, atol=0)
        assert torch.equal(ours.get_state(), theirs.get_state())
        with torch.no_grad():
            model[0].weight.mul_(1.1)


@on_cuda
def test_a_generator_that_is_set_back_gives_the_same_replay():
    model, x, generator = network("cuda"), torch.rand(16, 1, 8, 8, device="cuda"), torch.Generator("cuda")
    SAMPLER(model, x, generator)
    state = generator.get_state()
    first = SAMPLER(model, x, generator)
    generator.set_state(state)
    assert torch.equal(SAMPLER(model, x, generator), first)
