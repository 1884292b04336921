"""The examples that the tables of the field are measured on."""

import random

import mnist_addition
import pytest
import rsbench
import sudoku
import torch

from gedi_nesy.data import Images

LABELS = torch.arange(10).repeat(900)


def test_half_of_the_boards_are_right_and_share_no_image_with_the_test():
    train, test = sudoku.split(LABELS, seed=1)
    for boards in (train, test):
        digits = LABELS[boards.images].view(-1, 4, 4).tolist()
        assert [sudoku.is_sudoku(board) for board in digits] == boards.valid
        assert sum(boards.valid) == sudoku.PUZZLES == len(boards.valid) / 2
        assert boards.images[: sudoku.PUZZLES].unique().numel() == 16 * sudoku.PUZZLES
    assert not set(train.images.flatten().tolist()) & set(test.images.flatten().tolist())


@pytest.mark.parametrize(
    ("board", "right"),
    [
        ([[0, 1, 2, 3], [2, 3, 0, 1], [1, 0, 3, 2], [3, 2, 1, 0]], True),
        ([[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]], False),  # rows and columns only
        ([[0, 1, 2, 3], [2, 3, 0, 1], [1, 0, 3, 2], [3, 2, 1, 1]], False),
    ],
)
def test_a_sudoku_repeats_no_digit_in_a_row_column_or_block(board, right):
    assert sudoku.is_sudoku(board) is right


def test_the_boards_of_a_seed_are_the_same_again():
    assert torch.equal(sudoku.split(LABELS, 3)[0].images, sudoku.split(LABELS, 3)[0].images)
    assert sudoku.drawn_solution(random.Random(0)) != sudoku.drawn_solution(random.Random(1))


@pytest.mark.parametrize(("name", "sizes"), [("half", (2940, 420, 1080)), ("even-odd", (6720, 960, 5040))])
def test_pairs_are_as_many_as_rsbench_has(name, sizes):
    task, x = rsbench.TASKS[name], torch.arange(9000)
    generator = torch.Generator().manual_seed(0)
    parts = [(task.worlds, rsbench.TRAIN), (task.worlds, rsbench.TEST), (task.others, rsbench.TEST)]
    drawn = [rsbench.draw(x, LABELS, worlds, each, generator) for worlds, each in parts]
    assert tuple(len(pairs.sums) for pairs in drawn) == sizes
    for pairs in drawn:
        assert all(torch.equal(LABELS[pairs.images[image]], pairs.digits[image]) for image in "XY")
        assert torch.equal(torch.tensor(pairs.sums), pairs.digits["X"] + pairs.digits["Y"])


def test_held_out_images_are_not_trained_on(monkeypatch):
    monkeypatch.setattr(mnist_addition, "HELD_OUT", 40)
    x = torch.arange(100).view(-1, 1, 1, 1).byte()
    images = Images("numbers", x, torch.arange(100) % 10, x[:5] + 200, torch.arange(5), tuple("0123456789"))
    held = mnist_addition.held_out(images)
    assert (len(held.x_train), len(held.x_test)) == (60, 40)
    assert sorted([*held.x_train.flatten().tolist(), *held.x_test.flatten().tolist()]) == list(range(100))
    assert torch.equal(held.x_test.flatten() % 10, held.y_test)


def test_sums_use_each_image_once():
    x = torch.arange(25).view(-1, 1, 1, 1).byte()
    sums = mnist_addition.draw_sums(x, torch.arange(25) % 10, n=2, seed=0)
    assert sums.images.shape == (6, 4, 1, 1, 1)
    assert sums.images.unique().numel() == 24
    assert sums.totals() == [10 * a + b + 10 * c + d for a, b, c, d in sums.digits.tolist()]
