import torch
from torch import nn

from gedi_nesy.core.energy import log_density_gradient
from gedi_nesy.vision.network import Networks, pick_networks


def build(count, head="cosine"):
    return Networks(count, 2, [5, 4], [3], 2, head, 0.1, seed=0)


def test_each_network_is_a_plain_perceptron_with_its_own_weights():
    networks, x = build(3, "linear"), torch.randn(3, 7, 2, generator=torch.Generator().manual_seed(1))
    state = networks.state_dict()
    for k in range(3):
        hidden = x[k]
        for name, relu in (("encoder.0", True), ("encoder.2", False), ("projector.0", False), ("head", False)):
            layer = nn.Linear(*state[f"{name}.weight"].shape[1:])
            layer.weight.data, layer.bias.data = state[f"{name}.weight"][k].T, state[f"{name}.bias"][k, 0]
            hidden = layer(hidden).relu() if relu else layer(hidden)
        torch.testing.assert_close(networks(x)[k], hidden)


def test_cosine_logits_are_bounded_by_the_temperature():
    logits = build(2)(1e6 * torch.randn(2, 50, 2))
    assert logits.abs().max() <= 10 + 1e-4  # 1 / .1


def test_picked_networks_answer_as_in_the_stack():
    networks, x = build(4), torch.randn(1, 6, 2)
    picked = build(2)
    picked.load_state_dict(pick_networks(networks.state_dict(), [3, 1]))
    everyone = networks(x.expand(4, -1, -1))
    torch.testing.assert_close(picked(x.expand(2, -1, -1)), everyone[[3, 1]])


def test_the_gradient_of_the_density_keeps_networks_and_points_apart():
    networks, x = build(3), torch.randn(3, 5, 2, dtype=torch.float64)
    networks.double()
    together = log_density_gradient(networks, x)
    step = 1e-6 * torch.eye(2, dtype=torch.float64)[0]
    moved = x.clone()
    moved[1, 2] += step
    difference = (networks(moved).logsumexp(-1) - networks(x).logsumexp(-1)) / 1e-6
    torch.testing.assert_close(together[1, 2, 0], difference[1, 2], rtol=1e-4, atol=1e-6)
    assert difference.count_nonzero() == 1
