import pytest
import torch

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.examples import batch_rows, draw_examples

DIGITS = tuple("0123456789")


def draw(constraint, n, per_class=200, seed=0):
    labels = torch.arange(10).repeat_interleave(per_class)
    images = torch.arange(10 * per_class, dtype=torch.int32).view(-1, 1, 1, 1)  # an image's pixel is its number
    return labels, draw_examples(constraint, images, labels, DIGITS, n, torch.Generator().manual_seed(seed))


def test_examples_satisfy_the_rule_and_use_each_image_once(addition):
    labels, examples = draw(addition, 300)
    x, y, z = (labels[examples.pool[examples.rows[key]].flatten().long()] for key in "XYZ")
    assert torch.equal(x + y, z)
    assert torch.equal(x, examples.symbols["X"])
    used = torch.cat([examples.rows[key] for key in "XYZ"])
    assert len(used.unique()) == 900 == len(examples.pool)
    assert not examples.reused


def test_pairs_are_uniform_over_the_55(addition):
    _, examples = draw(addition, 5500, per_class=2200)
    pairs = examples.symbols["X"] * 10 + examples.symbols["Y"]
    counts = torch.bincount(pairs, minlength=100)
    assert (counts > 0).sum() == 55
    # chi-squared with 54 degrees of freedom is below 100 in all but 1 of 10,000 draws
    assert ((counts[counts > 0] - 100.0) ** 2 / 100).sum() < 100


def test_too_few_images_of_a_class_are_reused_and_said_so(addition):
    labels, examples = draw(addition, 100, per_class=15)
    assert examples.reused
    x = labels[examples.pool[examples.rows["X"]].flatten().long()]
    assert torch.equal(x, examples.symbols["X"])


def test_more_examples_than_images_are_refused(addition):
    with pytest.raises(UserError, match="101 examples were asked for, more than the 100 images"):
        draw(addition, 101, per_class=10)


def test_a_symbol_without_images_is_named(addition):
    labels = torch.zeros(10, dtype=torch.long)
    images = torch.zeros(10, 1, 1, 1, dtype=torch.uint8)
    with pytest.raises(UserError, match="no images of class 1"):
        draw_examples(addition, images, labels, DIGITS, 5, torch.Generator())
    with pytest.raises(UserError, match="symbol 0 is not a class of the images, which are cat"):
        draw_examples(addition, images, labels, ("cat",), 5, torch.Generator())


def test_of_two_networks_the_one_with_more_symbols_says_which_image_to_draw():
    """Both have digits for symbols, but the one of two bits reads the parity: a 7 must not be drawn as a 1."""
    rule = Constraint(
        "nn(bits,[X],Y,[0,1]) :: bit(X,Y). nn(digits,[X],Y,[0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y). "
        "parity(X) :- bit(X,B), digit(X,A), B is A mod 2.",
        query="parity(X)",
    )
    labels, examples = draw(rule, 500)
    assert list(examples.symbols) == [("digits", "X")]
    assert torch.equal(labels[examples.pool[examples.rows["X"]].flatten().long()], examples.symbols["digits", "X"])
    assert examples.symbols["digits", "X"].bincount(minlength=10).min() > 20


def test_every_epoch_is_a_fresh_permutation_of_all_examples():
    epochs = [torch.cat([batch_rows(10, 4, epoch * 3 + i, seed=7) for i in range(3)]) for epoch in range(2)]
    assert all(torch.equal(epoch.sort().values, torch.arange(10)) for epoch in epochs)
    assert not torch.equal(*epochs)
    assert torch.equal(batch_rows(10, 4, 5, seed=7), batch_rows(10, 4, 5, seed=7))
    assert not torch.equal(batch_rows(10, 10, 0, seed=7), batch_rows(10, 10, 0, seed=8))
