import pytest
import torch
from sklearn.metrics import normalized_mutual_info_score

from gedi_nesy.core.metrics import BINS, batch_nmi, calibrate, chance_batch_nmi, score
from gedi_nesy.errors import UserError


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


def test_batch_nmi_is_scikit_learns_on_every_whole_batch():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(7, (70,), generator=generator)
    guesses = torch.where(
        torch.rand(70, generator=generator) < 0.5, labels, torch.randint(4, (70,), generator=generator)
    )
    expected = [normalized_mutual_info_score(labels[i : i + 16], guesses[i : i + 16]) for i in (0, 16, 32, 48)]
    assert batch_nmi(guesses, labels, 16) == pytest.approx(sum(expected) / 4)


@pytest.mark.parametrize(
    ("labels", "guesses", "nmi"),
    [([0, 0, 1, 1], [5, 5, 2, 2], 1.0), ([0, 0, 1, 1], [3, 3, 3, 3], 0.0), ([2, 2, 2, 2], [1, 1, 1, 1], 1.0)],
)
def test_batch_nmi_of_constants_as_scikit_learn_has_it(labels, guesses, nmi):
    assert normalized_mutual_info_score(labels, guesses) == nmi
    assert batch_nmi(torch.tensor(guesses), torch.tensor(labels), 4) == pytest.approx(nmi)


def test_chance_explains_the_papers_level_and_knows_collapse():
    generator = torch.Generator().manual_seed(0)
    labels, guesses = torch.randint(10, (2, 6400), generator=generator)
    chance = chance_batch_nmi(guesses, labels, 64)
    assert chance == pytest.approx(0.31, abs=0.01)  # where the paper's SVHN stands
    assert batch_nmi(guesses, labels, 64) == pytest.approx(chance, abs=0.01)
    assert chance_batch_nmi(labels, labels, 64) == pytest.approx(chance, abs=0.01)  # of perfect predictions too
    assert chance_batch_nmi(guesses * 0, labels, 64) == pytest.approx(0.0, abs=1e-9)


def test_too_few_images_for_a_batch_are_refused():
    with pytest.raises(UserError, match="batches of 64 needs"):
        batch_nmi(torch.zeros(63, dtype=torch.int64), torch.zeros(63, dtype=torch.int64), 64)


def test_the_calibration_error_by_hand():
    # three predictions of .9, two of them right, in bin 13 of 15, (13/15, 14/15]; two of .5, both right, in bin 7
    p = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.5, 0.49], [0.5, 0.49]])
    found = calibrate(p.log(), torch.tensor([0, 1, 1, 0, 0]))
    assert found.counts.tolist() == [0] * 7 + [2] + [0] * 5 + [3, 0]
    assert found.accuracy[[7, 13]].tolist() == pytest.approx([1, 2 / 3])
    assert found.confidence[[7, 13]].tolist() == pytest.approx([0.5, 0.9])
    assert found.ece == pytest.approx((2 * 0.5 + 3 * (0.9 - 2 / 3)) / 5)


def test_certainty_that_is_always_right_is_calibrated_and_always_wrong_is_not():
    certain = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).log()
    assert calibrate(certain, torch.tensor([0, 0])).ece == 0
    assert calibrate(certain, torch.tensor([1, -1])).ece == 1
    assert calibrate(certain, torch.tensor([0, 0])).counts.tolist() == [0] * (BINS - 1) + [2]
