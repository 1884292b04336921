import torch

from gedi_nesy.data.digits import load_digits
from gedi_nesy.data.load import load_images
from gedi_nesy.data.operators import with_operators


def test_three_classes_join_the_digits_and_are_always_the_same():
    digits, both = load_digits(), with_operators(load_digits(), train=20, test=10)
    assert both.classes == (*"0123456789", "+", "-", "*")
    assert both.y_train.bincount(minlength=13)[10:].tolist() == [20, 20, 20]
    assert both.y_test.bincount(minlength=13)[10:].tolist() == [10, 10, 10]
    assert torch.equal(both.x_train[: len(digits.x_train)], digits.x_train)
    again = with_operators(load_digits(), train=20, test=10)
    assert torch.equal(both.x_train, again.x_train)
    assert torch.equal(both.x_test, again.x_test)
    train, test = both.x_train[both.y_train >= 10].flatten(1), both.x_test[both.y_test >= 10].flatten(1)
    assert not (test[:, None] == train).all(-1).any()


def test_the_name_says_that_they_are_there():
    assert load_images("digits+operators").name == "digits+operators"


def test_strokes_are_where_they_belong():
    """A minus has ink around its middle rows only; a plus and a star reach above and below, and a star has more ink."""
    both = with_operators(load_digits(), train=1, test=200)
    ink = both.x_test.squeeze(1).float() / 255
    plus, minus, star = (ink[both.y_test == k] for k in (10, 11, 12))
    height = [(images.amax(2) > 0.3).sum(1) for images in (plus, minus, star)]  # rows with ink
    assert height[1].max() < height[0].min()
    assert height[1].max() < height[2].min()
    assert plus.mean() < star.mean()
    for images in (plus, minus, star):
        assert images[:, 0].max() == images[:, -1].max() == 0  # nothing is cut off
        assert (images.flatten(1).amax(1) > 0.5).all()
