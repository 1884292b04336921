import pytest
import torch

from gedi_nesy.core.metrics import score


def test_swapped_names_cost_accuracy_and_nothing_else():
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    swapped = torch.tensor([1, 1, 0, 0, 2, 2])
    scores = score(swapped, labels, 3)
    assert scores.accuracy == pytest.approx(2 / 6)
    assert (scores.cluster_accuracy, scores.nmi, scores.ami) == (1.0, pytest.approx(1.0), pytest.approx(1.0))
    assert scores.confusion.tolist() == [[0, 2, 0], [2, 0, 0], [0, 0, 2]]


def test_two_clusters_of_one_class_match_once():
    labels = torch.tensor([0, 0, 0, 1])
    split = torch.tensor([0, 0, 1, 1])
    assert score(split, labels, 2).cluster_accuracy == pytest.approx(3 / 4)


def test_chance_has_no_adjusted_information():
    generator = torch.Generator().manual_seed(0)
    labels, guesses = torch.randint(10, (2, 64), generator=generator)
    scores = score(guesses, labels, 10)
    assert scores.nmi > 0.2  # the plain score is far from 0 on few points
    assert abs(scores.ami) < 0.1
