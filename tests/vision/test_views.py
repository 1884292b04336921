import numpy as np
import pytest
import torch
from sklearn.neighbors import kneighbors_graph

from gedi_nesy.data.toys import load_toy
from gedi_nesy.errors import UserError
from gedi_nesy.vision.recipe import View
from gedi_nesy.vision.views import SHARED, build_inputs, random_walks


def generator():
    return torch.Generator().manual_seed(0)


def test_walks_end_as_the_powers_of_the_transition_matrix_say():
    x = torch.randn(30, 2, generator=generator())
    nearest = kneighbors_graph(x.numpy(), 6, include_self=True).toarray()
    graph = nearest * nearest.T * (nearest @ nearest.T >= SHARED * 6)
    power = np.linalg.matrix_power(graph / graph.sum(1, keepdims=True), 5)
    counts = np.zeros((30, 30))
    for seed in range(40):
        ends = random_walks(x, 5, 5, torch.Generator().manual_seed(seed))
        np.add.at(counts, (np.arange(30)[:, None], ends.numpy()), 1)
    assert np.abs(counts / counts.sum(1, keepdims=True) - power).max() < 0.05


def test_walks_stay_in_their_circle_however_long():
    x, y = load_toy("circles", 400, 0)
    assert (y[random_walks(x, 1000, 10, generator())] == y[:, None]).all()


def test_walks_from_many_equal_points_stay_with_them():
    x = torch.tensor([[0.0, 0.0], [5.0, 5.0]]).repeat_interleave(100, 0)
    ends = random_walks(x, 50, 10, generator())
    assert torch.equal(x[ends], x[:, None].expand(-1, ends.shape[1], -1))


def test_two_data_sets_side_by_side_see_their_own_points_only():
    near, far = torch.zeros(20, 2), torch.full((20, 2), 100.0)
    inputs = build_inputs([near, far], View(noise=1.0), generator())
    _, x, views = inputs.draw(6, 50, generator())  # networks 0-2 on the first, 3-5 on the second
    assert (x[:3] == 0).all()
    assert (x[3:] == 100).all()
    assert views[:3].mean().item() == pytest.approx(0, abs=0.2)
    assert views[3:].std().item() == pytest.approx(1, abs=0.1)


def test_what_a_view_is_of_can_have_noise_too():
    zeros = [torch.zeros(20, 2)]
    _, x, views = build_inputs(zeros, View(noise=0.5, anchor_noise=2.0), generator()).draw(1, 4000, generator())
    assert x.std().item() == pytest.approx(2, rel=0.05)
    assert views.std().item() == pytest.approx(0.5, rel=0.05)  # of the point, not of its noisy copy


def test_too_few_points_for_the_graph_are_refused():
    with pytest.raises(UserError, match="needs more than 5 points"):
        random_walks(torch.randn(5, 2), 3, 5, generator())
