"""Example sets: tuples of images that satisfy a rule, drawn from labelled images. Training never sees the labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.core.seeds import mix_seeds
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Key, Variable
from gedi_nesy.nesy.inputs import Inputs


@dataclass(frozen=True)
class Examples:
    """N examples of a rule over pools of images or vectors.

    Attributes:
        inputs: for each image of the query, the pool that it is taken from and its row there in each example.
        answers: the numbers of each example's arguments, int64 [N, arguments]; None where the query has none.
        symbols: for each variable whose symbols say which image was drawn, the index of its true symbol in the domain,
            int64 [N]; only for scoring.
        reused: whether an image serves in more than one place, because the data set has too few of its class.
        lines: of a table, the line of the file that each example is in; empty where they come from a data set.
        features: where they were given beside the inputs, the features of each image's pool, [n, D], by the image's
            name in the query; they say which inputs are alike.
    """

    inputs: Inputs
    answers: Tensor | None
    symbols: dict[Key, Tensor]
    reused: bool
    lines: tuple[int, ...] = ()
    features: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def rows(self) -> dict[str, Tensor]:
        """For each image of the query its row in its pool in each example, int64 [N]."""
        return self.inputs.rows

    @property
    def pool(self) -> Tensor:
        """The single pool of all images, uint8 [images, C, H, W] or float32 [vectors, D].

        Raises:
            UserError: networks read inputs of different shapes.
        """
        return self.inputs.single_pool

    def take(self, chosen: Tensor) -> "Examples":
        """The examples with these numbers, int64 [n]."""
        answers = None if self.answers is None else self.answers[chosen]
        symbols = {key: numbers[chosen] for key, numbers in self.symbols.items()}
        lines = tuple(self.lines[number] for number in chosen.tolist()) if self.lines else ()
        return replace(self, inputs=self.inputs.take(chosen), answers=answers, symbols=symbols, lines=lines)


def draw_examples(
    constraint: Constraint,
    images: Tensor,
    labels: Tensor,
    classes: tuple[str, ...],
    n: int,
    generator: torch.Generator,
    features: Tensor | None = None,
) -> Examples:
    """Draw examples as the paper does: symbols uniform over the rule's solutions, images without replacement.

    Facts of the rule are drawn by their probabilities first, see `Constraint.sample`.
    For `addition` the solutions are the 55 pairs with a + b <= 9 (paper, Appendix O). Where a class has too few images
    they are reused, and the result says so.

    Args:
        constraint: the rule.
        images: uint8 [images, channels, height, width], or vectors, float32 [images, D].
        labels: class of each image, int64 [images].
        classes: the name of each class; a variable's symbols are looked up among these names.
        n: how many examples.
        generator: on the CPU.
        features: of each image, [images, D], to say which are alike.

    Raises:
        UserError: if there are more examples than images, or the classes can't say what an image of the rule shows.
    """
    if n > len(images):
        raise UserError(
            f"{n} examples were asked for, more than the {len(images)} images; use --examples {len(images)} or fewer."
        )
    solutions = constraint.sample(n, generator)
    return give_images(constraint, solutions, images, labels, classes, generator, features)


def give_images(
    constraint: Constraint,
    solutions: Mapping[Key, Any],
    images: Tensor,
    labels: Tensor,
    classes: tuple[str, ...],
    generator: torch.Generator,
    features: Tensor | None = None,
) -> Examples:
    """Examples of these solutions, in the form of `Constraint.sample`; the rest is as for `draw_examples`."""
    naming = naming_calls(constraint, classes)
    n = len(next(iter(solutions.values())))
    shuffled = torch.randperm(len(images), generator=generator)
    by_class = [shuffled[labels[shuffled] == k] for k in range(len(classes))]
    used = [0] * len(classes)
    rows, reused = {}, False
    for image, call in naming.items():
        shown = _classes_of(call, classes, by_class)[solutions[call.key]]  # [n]
        rows[image] = torch.empty(n, dtype=torch.long)
        for k in shown.unique().tolist():
            places = (shown == k).nonzero().squeeze(1)
            turns = torch.arange(used[k], used[k] + len(places))
            rows[image][places] = by_class[k][turns % len(by_class[k])]
            used[k] += len(places)
            reused |= used[k] > len(by_class[k])
    pool, where = torch.cat(list(rows.values())).unique(return_inverse=True)
    rows = dict(zip(rows, where.split(n), strict=True))
    answers = constraint.number_arguments({name: solutions[name] for name in constraint.arguments})
    symbols = {call.key: solutions[call.key] for call in naming.values()}
    given = {} if features is None else dict.fromkeys(rows, features[pool])
    return Examples(Inputs.of_pool(images[pool], rows), answers, symbols, reused, features=given)


def naming_calls(constraint: Constraint, classes: tuple[str, ...]) -> dict[str, Variable]:
    """For each image of the query the call whose symbol says which class of image to draw.

    It reads that image alone, and its symbols are classes by their names. Where several do, it is the one with the most
    symbols: next to a network of ten digits one of two bits reads something else in the image.

    Raises:
        UserError: if an image has none.
    """
    naming = {}
    for image in constraint.query.images:
        calls = [call for call in constraint.variables if call.inputs == (image,)]
        if not calls:
            raise UserError(f"No network reads image {image} alone, so no label says what it shows; give --data.")
        known = [call for call in calls if all(str(symbol) in classes for symbol in call.domain)]
        if not known:
            missing = next(symbol for symbol in calls[0].domain if str(symbol) not in classes)
            raise UserError(
                f"The rule's symbol {missing} is not a class of the images, which are {', '.join(classes)}."
            )
        naming[image] = max(known, key=lambda call: len(call.domain))
    return naming


def _classes_of(call: Variable, classes: tuple[str, ...], by_class: list[Tensor]) -> Tensor:
    """The class that each symbol of a call names, int64 [symbols]."""
    numbers = [classes.index(str(symbol)) for symbol in call.domain]
    for k in numbers:
        if not len(by_class[k]):
            raise UserError(f"There are no images of class {classes[k]}, which the rule needs.")
    return torch.tensor(numbers)


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
    order = torch.randperm(n, generator=torch.Generator().manual_seed(mix_seeds(seed, epoch)))
    return order[position * batch : (position + 1) * batch]
