import copy

import pytest
import torch
from torch import nn

from gedi_nesy.core.lars import LARS


def step(optimizer, gradients):
    for parameter, gradient in zip(optimizer.param_groups[0]["params"], gradients, strict=True):
        parameter.grad = gradient.clone()
    optimizer.step()


def test_two_steps_by_hand():
    weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))  # of length 5
    optimizer = LARS([weight], lr=0.1, momentum=0.5, eta=0.2)
    step(optimizer, [torch.tensor([[0.0, 2.0]])])  # trust .2 * 5 / 2 = .5, so it goes on by 1; Nesterov adds half
    torch.testing.assert_close(weight.data, torch.tensor([[3.0, 4.0 - 0.1 * 1.5]]))
    length = weight.detach().norm().item()
    step(optimizer, [torch.tensor([[2.0, 0.0]])])  # momentum (.2 length, .5)
    expected = torch.tensor([[3.0 - 0.1 * 1.5 * 0.2 * length, 3.85 - 0.1 * 0.25]])
    torch.testing.assert_close(weight.data, expected)


def test_biases_are_plain_sgds():
    start = torch.tensor([1.0, -2.0])
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizers = LARS([ours], 0.1, weight_decay=0.5), torch.optim.SGD([theirs], 0.1, momentum=0.9, nesterov=True)
    for seed in range(3):
        gradient = torch.randn(2, generator=torch.Generator().manual_seed(seed))
        for optimizer in optimizers:
            step(optimizer, [gradient])
    torch.testing.assert_close(ours, theirs)


def test_a_layers_first_step_does_not_depend_on_the_scale_of_its_gradient():
    start, gradient = torch.randn(3, 4), torch.randn(3, 4)
    ends = []
    for factor in (1.0, 1000.0):
        weight = nn.Parameter(start.clone())
        step(LARS([weight], 0.1), [factor * gradient])
        ends.append(weight.detach())
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("zero", ["weight", "gradient"])
def test_zeros_are_no_trouble(zero):
    weight = nn.Parameter(torch.zeros(2, 2) if zero == "weight" else torch.ones(2, 2))
    step(LARS([weight], 0.1), [torch.zeros(2, 2) if zero == "gradient" else torch.ones(2, 2)])
    assert weight.isfinite().all()


def test_its_state_resumes():
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = LARS([weight], 0.1)
    step(optimizer, [torch.ones(2, 2)])
    other = nn.Parameter(weight.detach().clone())
    resumed = LARS([other], 0.5)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one in (optimizer, resumed):
        step(one, [torch.eye(2)])
    assert torch.equal(weight, other)
