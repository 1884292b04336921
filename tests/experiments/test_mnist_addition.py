from contextlib import suppress

import pytest
import torch
from mnist_addition import moved_uphill
from torch import nn


def test_weights_are_moved_together_and_come_back_to_the_last_bit_even_after_an_error():
    net = nn.Linear(3, 2)
    net(torch.ones(1, 3)).square().sum().backward()
    before = [weight.detach().clone() for weight in net.parameters()]
    with suppress(KeyboardInterrupt), moved_uphill(net, 0.15):
        moves = [weight.detach() - old for weight, old in zip(net.parameters(), before, strict=True)]
        raise KeyboardInterrupt
    uphill = [weight.grad for weight in net.parameters()]
    assert nn.utils.get_total_norm(moves).item() == pytest.approx(0.15)
    assert all(
        torch.cosine_similarity(*map(torch.flatten, pair), 0) > 0.999 for pair in zip(moves, uphill, strict=True)
    )
    assert all(torch.equal(weight, old) for weight, old in zip(net.parameters(), before, strict=True))
