"""Images of a data set at another size, grey or in colour."""

import pytest
import torch

from gedi_nesy.data.images import Images
from gedi_nesy.errors import UserError


def images(x):
    labels = torch.zeros(len(x), dtype=torch.int64)
    return Images("some", x, labels, x, labels, ("a",))


def test_images_are_resized_and_change_their_colours():
    x = torch.zeros(2, 3, 4, 6, dtype=torch.uint8)
    x[:, 0], x[:, 1], x[:, 2, :, :3] = 100, 200, 50
    grey = images(x).at(None, 1).x_train
    assert grey.dtype == torch.uint8
    assert grey[0, 0, 0].tolist() == [153] * 3 + [147] * 3  # .299 * 100 + .587 * 200 + .114 * 50, and without the 50
    small = images(grey).at((2, 3), 3)
    assert small.x_test.shape == (2, 3, 2, 3)
    assert torch.equal(small.x_test[:, 2], small.x_test[:, 0])
    assert small.x_train[0, 0, :, 0].tolist() == [153, 153]


def test_what_is_asked_for_already_stays_and_vectors_are_refused():
    same = images(torch.zeros(2, 1, 4, 4, dtype=torch.uint8))
    assert same.at(None, None) is same
    assert torch.equal(same.at((4, 4), 1).x_train, same.x_train)
    with pytest.raises(UserError, match="some holds vectors, which have no size or colour"):
        images(torch.zeros(2, 5)).at((8, 8), None)
