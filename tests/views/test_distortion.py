import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from gedi_nesy.views.distortion import distort
from gedi_nesy.views.drawings import Warp


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images_of_digits():
    pixels, labels = load_digits(return_X_y=True)
    small = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16
    return torch.nn.functional.interpolate(small, size=28, mode="bilinear"), labels


def test_what_is_distorted_is_no_longer_read_as_it_was():
    x, labels = images_of_digits()
    reader = KNeighborsClassifier(5).fit(x[:900].flatten(1), labels[:900])
    views, distorted = (change(x[900:], 0.0, generator()).flatten(1) for change in (Warp(), distort))
    assert reader.score(views, labels[900:]) > 0.6  # a view keeps its digit
    assert reader.score(distorted, labels[900:]) < 0.35


def test_background_stays_background_and_the_range_is_kept():
    black = torch.full((8, 1, 28, 28), -1.0)
    torch.testing.assert_close(distort(black, -1.0, generator()), black)
    bright = distort(2 * images_of_digits()[0][:200] - 1, -1.0, generator())
    assert -1.0001 <= bright.min() < -0.99
    assert 0.9 < bright.max() <= 1.0001


def test_distortions_repeat_with_the_generator():
    x = images_of_digits()[0][:8]
    assert torch.equal(distort(x, 0.0, generator(3)), distort(x, 0.0, generator(3)))
    assert not torch.equal(distort(x, 0.0, generator(3)), distort(x, 0.0, generator(4)))
