"""Probes of frozen features against scikit-learn's."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from gedi_nesy.vision.probe import knn_accuracy, linear_probe, standardised


@pytest.fixture
def blobs():
    """Three overlapping classes in five dimensions: features and labels, for training and for testing."""
    generator = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(3, 5, generator=generator)

    def draw(n):
        labels = torch.randint(3, (n,), generator=generator)
        return centres[labels] + 1.5 * torch.randn(n, 5, generator=generator), labels

    return *draw(300), *draw(400)


def test_the_linear_probe_reaches_the_convex_optimum(blobs):
    x, y, x_test, y_test = blobs
    best = LogisticRegression(C=1e6, max_iter=1000).fit(x, y).score(x_test, y_test)
    assert 0.6 < best < 0.97  # a probe that guesses, or one that peeks, would differ
    assert linear_probe(x, y, x_test, y_test, epochs=100) == pytest.approx(best, abs=0.015)
    assert linear_probe(x, y, x_test, y_test, epochs=1) != linear_probe(x, y, x_test, y_test, epochs=100)


def test_a_probe_of_standardised_features_does_not_depend_on_their_scale(blobs):
    x, y, x_test, y_test = blobs
    expected = linear_probe(*interleaved(standardised(x, x_test), y, y_test), epochs=2)
    tiny = standardised(1e-4 * x + 3, 1e-4 * x_test + 3)
    assert linear_probe(*interleaved(tiny, y, y_test), epochs=2) == pytest.approx(expected, abs=0.01)
    assert linear_probe(1e-4 * x, y, 1e-4 * x_test, y_test, epochs=2) < expected - 0.1


def interleaved(features, y, y_test):
    return features[0], y, features[1], y_test


def test_features_that_know_nothing_give_the_commonest_label(blobs):
    x, y, x_test, y_test = blobs
    often = (y_test > 0).double().mean().item()
    assert linear_probe(x * 0, (y > 0).long(), x_test * 0, (y_test > 0).long(), epochs=2) == pytest.approx(often)


@pytest.mark.parametrize("neighbours", [1, 7, 20])
def test_neighbours_vote_as_scikit_learns(blobs, neighbours):
    x, y, x_test, y_test = blobs
    expected = KNeighborsClassifier(neighbours, metric="cosine").fit(x, y).score(x_test, y_test)
    assert knn_accuracy(x, y, x_test, y_test, neighbours=neighbours) == pytest.approx(expected)


def test_neighbours_by_hand():
    features = torch.tensor([[1.0, 0.0], [5.0, 0.1], [0.0, 1.0]])  # length does not count
    labels = torch.tensor([0, 0, 2])
    queries = torch.tensor([[9.0, 0.0], [0.0, 0.2], [0.1, 3.0]])
    assert knn_accuracy(features, labels, queries, torch.tensor([0, 2, 0]), neighbours=1) == pytest.approx(2 / 3)
    # all three vote where more are asked for: label 0 wins everywhere
    assert knn_accuracy(features, labels, queries, torch.tensor([0, 2, 0])) == pytest.approx(2 / 3)
