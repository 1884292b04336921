"""Boards of 4 by 4 handwritten digits: is this a sudoku? Known is only which of the training boards are valid.

    python experiments/sudoku.py --seeds 700-709

The boards are drawn as ViSudo-PC's strategy "simple" draws them (linqs/visual-sudoku-puzzle-classification on GitHub),
anew by each seed, which is one of its splits. What symbol a digit gets is free: only validity is scored.
"""

import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from common import (
    FILE,
    Script,
    add_run,
    finished_runs,
    is_finished,
    mean_cell,
    out_option,
    runs_option,
    seeds_option,
    settings_option,
)
from once import run_on
from settings import RULES
from sklearn.metrics import roc_auc_score
from torch import Tensor

import gedi_nesy as gn
from gedi_nesy.core.metrics import score as score_symbols
from gedi_nesy.data import load_images

SIDE, BLOCK = 4, 2
PUZZLES = 100  # right ones in training, and in the test; there are as many wrong ones
CORRUPTIONS, AGAIN = 8, 0.5  # at most so many in one board, and the chance of another one
CELLS = [f"{row}{column + 1}" for row in "ABCD" for column in range(SIDE)]  # of the rule, row by row
PUBLISHED = {  # test accuracy in percent
    "A-NeSI (from memory of its paper, not checked)": "about 89.7",
    "semantic loss (from memory of A-NeSI's paper, not checked)": "about 86.7",
}
Board = list[list[int]]
Images = dict[int, list[int]]  # for each digit the rows of its images


def drawn_solution(rng: random.Random) -> Board:
    """A sudoku, filled cell by cell with what may stand there, from the beginning again where nothing may."""
    board = [[-1] * SIDE for _ in range(SIDE)]
    for row, column in _cells():
        allowed = [digit for digit in range(SIDE) if not _stands_near(board, row, column, digit)]
        if not allowed:
            return drawn_solution(rng)
        board[row][column] = rng.choice(allowed)
    return board


def is_sudoku(board: Board) -> bool:
    """Whether no digit occurs twice in a row, a column or a block."""
    return not any(_stands_near(board, row, column, board[row][column]) for row, column in _cells())


def _cells() -> list[tuple[int, int]]:
    return [(row, column) for row in range(SIDE) for column in range(SIDE)]


def _block(row: int, column: int) -> tuple[int, int]:
    return row // BLOCK, column // BLOCK


def _stands_near(board: Board, row: int, column: int, digit: int) -> bool:
    """Whether the digit stands in another cell of the same row, column or block."""
    return any(
        board[r][c] == digit and (r == row or c == column or _block(r, c) == _block(row, column))
        for r, c in _cells()
        if (r, c) != (row, column)
    )


@dataclass(frozen=True)
class Boards:
    """N boards.

    Attributes:
        images: for each cell the rows of its images, int64 [N, SIDE * SIDE].
        valid: whether each is a sudoku, [N]: first the right ones, then what they became when they were corrupted.
    """

    images: Tensor
    valid: list[bool]

    def data(self, pictures: Tensor) -> dict[str, Any]:
        """For each variable of the rule its pictures, [N, 1, 28, 28], and the values of V."""
        cells = {name: pictures[rows] for name, rows in zip(CELLS, self.images.unbind(1), strict=True)}
        return {**cells, "V": ["valid" if valid else "invalid" for valid in self.valid]}


def draw(images: Images, n: int, rng: random.Random) -> Boards:
    """N right boards, which use each image once, and a corrupted copy of each."""
    queues = {digit: iter(rows) for digit, rows in images.items()}
    right = [drawn_solution(rng) for _ in range(n)]
    rows = [[[next(queues[digit]) for digit in line] for line in board] for board in right]
    wrong = [corrupt(board, own, images, rng) for board, own in zip(right, rows, strict=True)]
    flat = [[image for line in own for image in line] for own in [*rows, *wrong]]
    return Boards(torch.tensor(flat), [True] * n + [False] * n)


def corrupt(board: Board, rows: Board, images: Images, rng: random.Random) -> Board:
    """The rows of a board's images after some of its cells were swapped, or after some were replaced."""
    swaps = rng.random() < 0.5
    while True:
        digits, changed = [list(line) for line in board], [list(line) for line in rows]
        cells = rng.sample(_cells(), SIDE * SIDE)
        for k in range(CORRUPTIONS):
            (r, c), (s, d) = cells[2 * k : 2 * k + 2]
            if swaps:
                for grid in (digits, changed):
                    grid[r][c], grid[s][d] = grid[s][d], grid[r][c]
            else:
                digits[r][c] = rng.choice([digit for digit in range(SIDE) if digit != digits[r][c]])
                changed[r][c] = rng.choice(images[digits[r][c]])
            if rng.random() >= AGAIN:
                break
        if not is_sudoku(digits):
            return changed


def split(labels: Tensor, seed: int) -> tuple[Boards, Boards]:
    """Training and test boards, which share no image."""
    rng = random.Random(seed)
    each = SIDE * PUZZLES
    pools = {digit: (labels == digit).nonzero().flatten().tolist() for digit in range(SIDE)}
    for rows in pools.values():
        rng.shuffle(rows)
    parts = [{digit: rows[k * each : (k + 1) * each] for digit, rows in pools.items()} for k in range(2)]
    return draw(parts[0], PUZZLES, rng), draw(parts[1], PUZZLES, rng)


def measure(pictures: Tensor, labels: Tensor, seed: int, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The figures of one run."""
    train, test = split(labels, seed)
    overrides = {"program": str(RULES / "board.pl"), "arguments": ("V",), "seed": seed, **settings}
    cpu = time.process_time()
    run = run_on(train.data(pictures), folder, overrides)
    cpu = time.process_time() - cpu
    summary, shown = run.summary, test.images[:PUZZLES].flatten()  # each test image once
    clusters = score_symbols(run.log_probs(pictures[shown]).argmax(-1), labels[shown], SIDE)
    return {
        "seed": seed,
        **score(run, test, pictures),
        "cluster_accuracy": round(clusters.cluster_accuracy, 4),
        "train_answer_accuracy": round(summary["train_answer_accuracy"], 4),
        "certified": summary["certificate"]["certified"],
        "failures": summary["certificate"]["failures"],
        **{key: (summary["matching"] or {}).get(key) for key in ("separation", "margin", "chains")},
        "recipe": summary["recipe"],
        "cpu_seconds": round(cpu, 1),
    }


def score(run: gn.Run, boards: Boards, pictures: Tensor) -> dict[str, float]:
    """The accuracy of P(valid) >= 0.5, and the area under its ROC curve."""
    log_probs = {name: run.log_probs(pictures[rows]) for name, rows in zip(CELLS, boards.images.unbind(1), strict=True)}
    valid = run.constraint.log_prob(log_probs, {"V": ["valid"] * len(boards.valid)}).exp()
    right = (valid >= 0.5) == torch.tensor(boards.valid)
    return {
        "accuracy": round(right.float().mean().item(), 4),
        "auroc": round(float(roc_auc_score(boards.valid, valid.tolist())), 4),
    }


@click.command(cls=Script)
@seeds_option("700-709")
@settings_option
@click.option("--data-dir", type=FILE, help="Where MNIST lies.")
@out_option("sudoku.json")
@runs_option("runs/sudoku")
def main(seeds: range, settings: dict[str, Any], data_dir: Path | None, out: Path, runs: Path) -> None:
    """Train once a seed; what a result holds already is kept."""
    torch.set_num_threads(1)
    mnist = load_images("mnist", data_dir)
    about = {"puzzles": PUZZLES, "settings": settings}
    pictures, labels = torch.cat([mnist.x_train, mnist.x_test]), torch.cat([mnist.y_train, mnist.y_test])
    for seed in seeds:
        if not is_finished(out, {"seed": seed}, about):
            new = measure(pictures, labels, seed, settings, runs / f"seed{seed}")
            add_run(out, new, ["seed"], about)
            click.echo(json.dumps(new))
    click.echo(table(finished_runs(out)))


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Means in percent, as Markdown, with the number of runs, above published figures."""
    lines = ["| | accuracy | AUROC |", "| --- | --- | --- |"]
    lines.append(f"| gedi-nesy | {mean_cell(found, 'accuracy')} | {mean_cell(found, 'auroc')} |")
    lines += [f"| {title} | {accuracy} | |" for title, accuracy in PUBLISHED.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
