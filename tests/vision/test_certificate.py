import math

import pytest
import torch

from gedi_nesy.core.objective import diagnose, uniform_log_prior
from gedi_nesy.vision.certificate import certify, choose, diagnose_networks
from gedi_nesy.vision.network import Networks
from gedi_nesy.vision.recipe import View
from gedi_nesy.vision.views import build_inputs

# two groups of points left and right of 0
POINTS = torch.cat([torch.full((50, 2), -1.0), torch.full((50, 2), 1.0)])


def stack(*slopes):
    """A linear network for each slope: logits (slope * x_0, -slope * x_0)."""
    networks = Networks(len(slopes), 2, [2], [2], 2, "linear", 0.1, seed=0)
    for part in (networks.encoder, networks.projector):
        part[0].weight.data = torch.eye(2).repeat(len(slopes), 1, 1)
        part[0].bias.data.zero_()
    networks.head.weight.data = torch.stack([torch.tensor([[s, -s], [0.0, 0.0]]) for s in slopes])
    networks.head.bias.data.zero_()
    return networks


def inputs(noise=0.01):
    return build_inputs([POINTS], View(noise=noise), torch.Generator().manual_seed(0))


def test_D_is_zero_for_certain_balanced_clusters_and_ln_c_for_no_opinion():
    sharp, flat = diagnose_networks(stack(50.0, 0.0), inputs())
    assert sharp.certificate == pytest.approx(0, abs=1e-4)
    assert flat.certificate == pytest.approx(math.log(2), abs=1e-4)  # L_INV = ln 2, L_PRIOR at its optimum


def test_D_by_hand():
    """Logits (s x, -s x) at x = +-1 without noise: p = sigmoid(2 s), so D = H(p)."""
    (found,) = diagnose_networks(stack(0.5), inputs(noise=0.0))
    p = 1 / (1 + math.exp(-1))
    assert found.certificate == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p), abs=1e-5)


def test_the_restart_with_the_lowest_D_is_chosen_for_each_data_set():
    two = build_inputs([POINTS, POINTS], View(noise=0.01), torch.Generator().manual_seed(0))
    first, second = choose(stack(0.0, 50.0, 40.0, 0.1), two)
    assert (first.best, second.best) == (1, 0)
    assert first.certificates[0] == pytest.approx(math.log(2), abs=1e-4)


def test_a_run_is_certified_only_when_another_restart_found_the_same_clusters():
    def verdict(*slopes):
        (choice,) = choose(stack(*slopes), inputs())
        (found,) = certify(stack(slopes[choice.best]), inputs(), [choice])
        return found["certified"], found["failures"]

    assert verdict(50.0, -50.0) == (True, [])  # the same clusters under other names
    assert verdict(50.0, 0.0) == (False, ["fewer than two restarts with a D low enough"])
    assert verdict(50.0) == (False, [])  # a single restart is neither evidence nor a reason for doubt
    assert verdict(0.0, 0.1) == (False, ["representation collapse", "uncertain predictions"])
    # H(sigmoid(2 s)) = 0.04 nats at s = 2.7: a tenth of ln 2 is the least uncertainty that the diagnosis names
    assert verdict(2.5, -2.5) == (False, ["a D of 0.01 nats or more, most of it uncertain predictions"])


def test_two_ways_to_put_four_groups_together_are_no_certificate():
    groups = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]).repeat(25, 1)
    apart = build_inputs([groups], View(noise=0.01), torch.Generator().manual_seed(0))
    networks = stack(50.0, 50.0)
    networks.head.weight.data[1] = torch.tensor([[0.0, 0.0], [50.0, -50.0]])  # splits by the second column
    (choice,) = choose(networks, apart)
    (found,) = certify(stack(50.0), apart, [choice])
    assert choice.best == 0
    assert found["D"] < 0.01
    assert found["restart_agreement"] == pytest.approx(0.5)
    assert (found["certified"], found["failures"]) == (False, ["restarts that disagree"])


def test_agreement_is_that_of_the_finished_network_not_of_the_one_that_was_chosen():
    (choice,) = choose(stack(50.0, 40.0), inputs())
    assert certify(stack(50.0), inputs(), [choice])[0]["restart_agreement"] == 1
    assert certify(stack(0.0), inputs(), [choice])[0]["restart_agreement"] == pytest.approx(0.5)  # one cluster of two


def test_the_diagnosis_of_a_stack_is_that_of_each_network():
    networks, data = stack(0.3, 2.0), inputs(noise=0.0)
    log_probs = networks(POINTS.expand(2, -1, -1)).log_softmax(-1)
    for k, found in enumerate(diagnose_networks(networks, data)):
        alone = diagnose(log_probs[k], log_probs[k], uniform_log_prior(2))
        assert found.certificate == pytest.approx(alone.certificate, abs=1e-5)
