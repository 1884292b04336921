"""Whole chains in compiled code against the torch engine, which is the reference."""

import math

import pytest
import torch
from numba import njit
from torch import nn

from gedi_nesy.core import sgld as sgld_module
from gedi_nesy.core.chain import kernels
from gedi_nesy.core.sgld import SGLD
from gedi_nesy.errors import UserError
from gedi_nesy.networks.mlp import mlp
from gedi_nesy.networks.mnist_net import MNIST_Net


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def sample(engine, model, x, **settings):
    generator = torch.Generator().manual_seed(3)
    end = SGLD(engine=engine, **settings)(model, x, generator)
    return end, generator.get_state()


def test_two_steps_by_hand():
    # f(x) = (2x, 0), so d log p/dx = 2 sigmoid(2x): from 0 a step of .5 leads to .5, and on to .5 + sigmoid(1).
    model = nn.Sequential(nn.Linear(1, 2))
    model[0].weight.data, model[0].bias.data = torch.tensor([[2.0], [0.0]]), torch.zeros(2)
    end, _ = sample("numba", model, torch.zeros(1, 1), steps=2, step_size=0.5, noise=0.0)
    assert end.item() == pytest.approx(0.5 + 1 / (1 + math.exp(-1)))


@pytest.mark.parametrize("chains", [1, 16, 60])
def test_mnist_net_samples_as_with_torch(chains):
    torch.manual_seed(chains)
    model, x = MNIST_Net(), torch.rand(chains, 1, 28, 28) * 2 - 1
    settings = {"steps": 20, "step_size": 1.0, "noise": 0.01, "clamp": (-1.0, 1.0)}
    (ours, our_state), (theirs, their_state) = (sample(engine, model, x, **settings) for engine in ("numba", "torch"))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)
    assert torch.equal(our_state, their_state)


STACKS = {
    "linear only": ((5,), [nn.Linear(5, 3)]),
    "mlp": ((2,), [mlp((2, 100, 13, 7))]),
    "relu before pool": ((3, 9, 11), [nn.Conv2d(3, 5, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 4)]),
    "conv after conv": (
        (2, 8, 9),
        [nn.Conv2d(2, 4, 3), nn.Conv2d(4, 6, 2, bias=False), nn.Flatten(), nn.Linear(180, 3)],
    ),
    "no pool": ((1, 6, 6), [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5)]),
    "1 x 1": (
        (2, 4, 4),
        [nn.Conv2d(2, 3, 1), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(8, 2)],
    ),
    "silu": ((3,), [mlp((3, 20, 4), nn.SiLU)]),
    "stride 2": (
        (1, 12, 14),
        [nn.Conv2d(1, 4, 4, stride=2), nn.SiLU(), nn.Conv2d(4, 6, 3), nn.SiLU(), nn.Flatten(), nn.Linear(72, 5)],
    ),
    "stride 2 twice": (
        (2, 16, 16),
        [nn.Conv2d(2, 4, 6, stride=2), nn.SiLU(), nn.Conv2d(4, 6, 2, stride=2), nn.Flatten(), nn.Linear(54, 5)],
    ),
    "narrow": ((1, 5, 3), [nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(9, 2)]),
}


@pytest.mark.parametrize("name", STACKS)
def test_stacks_of_known_layers_sample_as_with_torch(name):
    torch.manual_seed(0)
    shape, layers = STACKS[name]
    model, x = nn.Sequential(*layers), torch.randn(20, *shape)
    settings = {"steps": 45, "step_size": 0.1, "noise": 0.1}
    torch.testing.assert_close(
        sample("numba", model, x, **settings)[0], sample("torch", model, x, **settings)[0], rtol=1e-4, atol=1e-4
    )


def test_the_number_of_threads_changes_no_bit(threads):
    torch.manual_seed(0)
    model, x = MNIST_Net(), torch.rand(50, 1, 28, 28)
    ends = []
    for count in (1, 2, 3):
        threads(count)
        ends.append(sample("numba", model, x, steps=3)[0])
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])


def test_start_and_weights_are_left_alone():
    model, x = mlp((2, 4, 3)), torch.ones(3, 2)
    weights = [p.clone() for p in model.parameters()]
    sample("numba", model, x, steps=3)
    assert x.tolist() == [[1.0, 1.0]] * 3
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(weights, model.parameters(), strict=True))


def test_numbers_that_are_not_finite_show_even_through_a_clamp():
    model = mlp((2, 4, 3))
    model[0].weight.data[0, 0] = math.nan
    with pytest.raises(FloatingPointError):
        sample("numba", model, torch.ones(3, 2), clamp=(-1.0, 1.0))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten()), "no padding, and stride 1 or 2"),
        (nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.Flatten()), "even kernel and an even size, here 8 x 8"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(3), nn.Flatten()), r"MaxPool2d\(2\) of an even size"),
        (nn.Sequential(nn.Conv2d(1, 2, 4), nn.MaxPool2d(2), nn.Flatten()), "here 5 x 5"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten()), "does not know Tanh"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(6, 2)), "then Flatten"),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), "ends in logits"),
        (nn.Sequential(nn.ReLU()), "first layer"),
        (nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()), r"3 channels and kernel 3 can't read \[1, 8, 8\]"),
        (nn.GRU(2, 3), "first layer"),
    ],
)
def test_what_the_engine_does_not_know_is_an_error(model, message):
    with pytest.raises(UserError, match=message):
        sample("numba", model, torch.zeros(1, 1, 8, 8))


def test_double_precision_is_an_error():
    with pytest.raises(UserError, match=r"float32 on CPU, not torch\.float64"):
        sample("numba", mlp((2, 3)).double(), torch.zeros(1, 2, dtype=torch.float64))


def test_without_numba_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sgld_module, "find_spec", lambda name: None)
    SGLD()
    with pytest.raises(UserError, match=r"pip install 'gedi-nesy\[fast\]'"):
        SGLD(engine="numba")


def test_an_unknown_engine_is_an_error():
    with pytest.raises(UserError, match="not 'fortran'"):
        SGLD(engine="fortran")


def test_without_a_folder_to_write_to_it_compiles_without_cache():
    names = {}
    exec(compile("def twice(x): return 2 * x", "no file", "exec"), names)  # numba's folder lies beside a file
    with pytest.raises(RuntimeError, match="no locator available"):
        njit(cache=True)(names["twice"])
    assert kernels.compiled(names["twice"])(3) == 6
