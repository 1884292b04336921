"""Example sets: tuples of images that satisfy a rule, drawn from labelled images. Training never sees the labels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.nesy.constraint import Constraint


@dataclass(frozen=True)
class Examples:
    """N examples of a rule over a pool of images.

    Attributes:
        pool: the distinct images that the examples use, uint8 [images, channels, height, width].
        rows: for each variable of the rule, the pool's row of its image in each example, int64 [N].
        arguments: for each argument of the query that differs by example, its N values.
        symbols: for each variable, the index of its true symbol in the domain, int64 [N]; only for scoring.
        reused: whether an image serves in more than one place, because the data set has too few of its class.
    """

    pool: Tensor
    rows: dict[str, Tensor]
    arguments: dict[str, list[object]]
    symbols: dict[str, Tensor]
    reused: bool

    def __len__(self) -> int:
        return len(next(iter(self.rows.values())))


def draw_examples(
    constraint: Constraint, images: Tensor, labels: Tensor, classes: tuple[str, ...], n: int, generator: torch.Generator
) -> Examples:
    """Draw examples as the paper does: symbols uniform over the rule's solutions, images without replacement.

    For `addition` the solutions are the 55 pairs with a + b <= 9 (paper, Appendix O). Where a class has too few images
    they are reused, and the result says so.

    Args:
        constraint: the rule.
        images: uint8 [images, channels, height, width].
        labels: class of each image, int64 [images].
        classes: the name of each class; a variable's symbols are found among them by name.
        n: how many examples.
        generator: on the CPU.

    Raises:
        UserError: if there are more examples than images, or a symbol of the rule has no images.
    """
    if n > len(images):
        raise UserError(
            f"{n} examples were asked for, more than the {len(images)} images; use --examples {len(images)} or fewer."
        )
    solutions = constraint.sample(n, generator)
    shuffled = torch.randperm(len(images), generator=generator)
    by_class = [shuffled[labels[shuffled] == k] for k in range(len(classes))]
    used = [0] * len(classes)
    rows, symbols, reused = {}, {}, False
    for variable in constraint.variables:
        symbols[variable.key] = solutions[variable.key]
        class_of = torch.tensor([_class_of(symbol, classes, by_class) for symbol in variable.domain])
        rows[variable.key] = torch.empty(n, dtype=torch.long)
        for k in class_of.unique().tolist():
            places = (class_of[solutions[variable.key]] == k).nonzero().squeeze(1)
            turns = torch.arange(used[k], used[k] + len(places))
            rows[variable.key][places] = by_class[k][turns % len(by_class[k])]
            used[k] += len(places)
            reused |= used[k] > len(by_class[k])
    pool, where = torch.cat(list(rows.values())).unique(return_inverse=True)
    rows = dict(zip(rows, where.split(n), strict=True))
    arguments = {name: solutions[name] for name in constraint.query.arguments}
    return Examples(images[pool], rows, arguments, symbols, reused)


def _class_of(symbol: object, classes: tuple[str, ...], by_class: list[Tensor]) -> int:
    if str(symbol) not in classes:
        raise UserError(f"The rule's symbol {symbol} is not a class of the images, which are {', '.join(classes)}.")
    k = classes.index(str(symbol))
    if not len(by_class[k]):
        raise UserError(f"There are no images of class {symbol}, which the rule needs.")
    return k


def batch_rows(n: int, batch: int, step: int, seed: int) -> Tensor:
    """The examples of one training step: every epoch a fresh permutation, a pure function of the step's number.

    Args:
        n: number of examples.
        batch: examples in a step; the last step of an epoch may have fewer.
        step: the step's number, from 0.
        seed: of the run.

    Returns:
        int64 [<= batch].
    """
    per_epoch = -(-n // batch)
    epoch, position = divmod(step, per_epoch)
    # torch's CPU generator keeps 32 bits of its seed, so the two numbers are mixed into 32
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    order = torch.randperm(n, generator=torch.Generator().manual_seed(mixed))
    return order[position * batch : (position + 1) * batch]
