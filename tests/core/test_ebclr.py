import math

import pytest
import torch

from gedi_nesy.core.energy import energy
from gedi_nesy.core.losses import anchor_logits, ebclr_loss, generative_loss, info_nce_loss


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_by_hand():
    first, second = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [2.0]])
    # squared distances between 0, 2 and their partners 1, 2, and to the others
    expected = [
        1 + math.log(math.exp(-1) + 2 * math.exp(-4)),  # 0: partner at 1, the others at 4 and 4
        0 + math.log(1 + math.exp(-4) + math.exp(-1)),  # 2: partner at 0, the others at 4 and 1
        1 + math.log(math.exp(-1) + 2 * math.exp(-1)),  # 1
        0 + math.log(1 + math.exp(-4) + math.exp(-1)),  # 2
    ]
    assert ebclr_loss(first, second, temperature=1.0).item() == pytest.approx(sum(expected) / 4)


def test_against_a_loop_over_the_authors_definition():
    first, second = normal(6, 3), normal(6, 3) + 0.3 * normal(6, 3, seed=1)
    both, total = torch.cat([first, second]), 0.0
    for i in range(12):
        similarity = {j: -(both[i] - both[j]).square().sum().item() / 0.1 for j in range(12) if j != i}
        total += math.log(sum(math.exp(value) for value in similarity.values())) - similarity[(i + 6) % 12]
    assert ebclr_loss(first, second).item() == pytest.approx(total / 12)


def test_at_unit_length_it_is_info_nce_at_half_the_temperature():
    first, second = (torch.nn.functional.normalize(normal(9, 4, seed=seed), dim=-1) for seed in (0, 1))
    torch.testing.assert_close(ebclr_loss(first, second, 0.2), info_nce_loss(first, second, 0.1))


def test_the_energy_over_anchors_by_hand():
    anchors = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    logits = anchor_logits(torch.tensor([[0.0, 0.0], [3.0, 0.0]]), anchors, temperature=5.0)
    torch.testing.assert_close(logits, -torch.tensor([[0.0, 25.0], [9.0, 16.0]]) / 5)
    expected = -torch.tensor([1 + math.exp(-5), math.exp(-9 / 5) + math.exp(-16 / 5)]).log()
    torch.testing.assert_close(energy(logits), expected)


def test_a_point_is_drawn_to_the_nearest_anchor():
    """-dE/dz = 2 / temperature * (the mean of the anchors, each with its responsibility, - z)."""
    embeddings, anchors = normal(5, 3).requires_grad_(), normal(7, 3, seed=1)
    logits = anchor_logits(embeddings, anchors, temperature=0.5)
    (slope,) = torch.autograd.grad(-energy(logits).sum(), embeddings)
    torch.testing.assert_close(slope, 2 / 0.5 * (logits.softmax(-1) @ anchors - embeddings))


def test_l_gen_takes_anchor_logits_as_it_takes_a_classifiers():
    anchors = torch.zeros(1, 1)  # a single one: E(x) = z^2 / temperature
    data, samples = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0]])
    gap = generative_loss(anchor_logits(data, anchors, 1.0), anchor_logits(samples, anchors, 1.0))
    assert gap.item() == pytest.approx((1 + 4) / 2 - 9)
