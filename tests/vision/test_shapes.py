"""Clusters of drawings by the graph of their shapes."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from gedi_nesy.core.metrics import score
from gedi_nesy.errors import UserError
from gedi_nesy.runs.callbacks import Interrupted
from gedi_nesy.vision import restarts
from gedi_nesy.vision.restarts import cluster_coordinates, heads_for
from gedi_nesy.vision.run import load_run
from gedi_nesy.vision.shapes import graph_of_shapes, spectral_coordinates, walks_on
from gedi_nesy.vision.train import resume, train
from tests.vision.test_images import assert_same_weights, stop_at

FEW = {"dataset": "digits", "examples": 60, "view.neighbours": 5, "sampler.steps": 2, "log_every": 2}
FEW |= {"train.steps": 4, "train.batch": 16}


def generator():
    return torch.Generator().manual_seed(0)


def cliques(sizes, bridge=True):
    """A graph of cliques, each joined to the next by one edge."""
    label = np.repeat(np.arange(len(sizes)), sizes)
    graph = (label[:, None] == label) & ~np.eye(len(label), dtype=bool)
    for at in np.cumsum(sizes)[:-1] if bridge else ():
        graph[at, at - 1] = graph[at - 1, at] = True
    return csr_matrix(graph.astype(np.float32)), torch.from_numpy(label)


def test_neighbours_are_mutual_and_of_like_shape():
    x = torch.zeros(20, 1, 28, 28, dtype=torch.uint8)
    for k in range(20):
        bar = slice(4 + k % 5, 20 + k % 5), slice(13, 15 + k % 3)
        x[k, 0][bar if k < 10 else bar[::-1]] = 255  # ten bars down, ten across
    graph = graph_of_shapes(x, 3)
    assert abs(graph - graph.T).nnz == 0
    assert graph.diagonal().sum() == 0
    assert graph.sum(1).min() >= 3
    assert graph[:10, 10:].nnz == 0
    with pytest.raises(UserError, match="needs more than 20 images"):
        graph_of_shapes(x, 20)


def test_walks_go_along_edges():
    ring = csr_matrix(np.roll(np.eye(6), 1, 1) + np.roll(np.eye(6), -1, 1))
    once, twice = (walks_on(ring, steps, 200, generator()) for steps in (1, 2))
    assert once.dtype == torch.int32
    assert sorted(once[0].unique().tolist()) == [1, 5]
    assert sorted(twice[0].unique().tolist()) == [0, 2, 4]
    assert (twice[0] == 0).float().mean().item() == pytest.approx(0.5, abs=0.1)  # two of the four ways lead back


def test_the_first_coordinate_by_hand():
    """Two equal halves that one edge joins: the slowest vector has one sign on each, of mean square 1."""
    graph, label = cliques([8, 8])
    (column,) = spectral_coordinates(graph, 1).T
    assert column.square().mean().item() == pytest.approx(1)
    assert (column * column[0] > 0).tolist() == (label == 0).tolist()
    assert column[:7].std() < 0.05


def test_coordinates_tell_groups_apart_and_a_stray_pair_is_none():
    graph, label = cliques([20, 20, 20, 2], bridge=False)
    coordinates = spectral_coordinates(graph, 2)
    centres = torch.stack([coordinates[label == k].mean(0) for k in range(3)])
    assert torch.pdist(centres).min() > 1
    assert torch.cdist(coordinates[label < 3], centres).argmin(1).tolist() == label[label < 3].tolist()


def test_restarts_find_the_groups_that_walks_stay_in():
    graph, label = cliques([40, 40, 40])
    x, walks = spectral_coordinates(graph, 2), walks_on(graph, 1, 16, generator())
    choice, teacher = cluster_coordinates(heads_for(x, 4, 3, seed=0), x, walks, torch.arange(120), generator(), 4.0)
    assert choice.certificates[choice.best] == min(choice.certificates) < 0.05
    assert score(teacher.argmax(1), label, 3).cluster_accuracy == 1
    assert teacher.sum(1).tolist() == pytest.approx([1] * 120, abs=1e-4)
    assert all(score(other, label, 3).cluster_accuracy == 1 for other in choice.others)


@pytest.mark.usefixtures("no_pictures")
def test_a_run_by_shape_learns_what_the_restarts_say_and_resumes_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(restarts, "STEPS", 20)
    monkeypatch.setattr(restarts, "BATCH", 50)
    train("gedi-drawings", out=tmp_path / "whole", **FEW)
    begin, go_on = partial(train, "gedi-drawings", out=tmp_path / "run", **FEW), partial(resume, tmp_path / "run")
    with monkeypatch.context() as patch:
        stop_at(3, patch)
        with pytest.raises(Interrupted):
            begin()
    go_on()
    assert_same_weights(tmp_path / "whole", tmp_path / "run")
    found = load_run(tmp_path / "run").summary
    assert len(found["restarts"]["D"]) == 16
    assert math.isfinite(found["certificate"]["D"])
