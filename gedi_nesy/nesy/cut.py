"""Examples that use each image once: a data set is shuffled once and cut into them, as the field's tables have it."""

import warnings

import torch
from torch import Tensor

from gedi_nesy.data import Images
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Key, Variable
from gedi_nesy.nesy.examples import Examples, give_images, naming_calls
from gedi_nesy.nesy.inputs import Inputs

CHUNK = 1000  # examples whose answers are computed at a time
SURE = 1e-4  # nats: an answer that is known from the symbols has log-probability 0, up to rounding


def cut_examples(
    constraint: Constraint,
    images: Tensor,
    labels: Tensor,
    classes: tuple[str, ...],
    n: int | None,
    generator: torch.Generator,
    features: Tensor | None = None,
) -> Examples:
    """Examples in which each image occurs once at most.

    Where every tuple of images satisfies the rule with one answer, as in addition with the sum as an argument, the
    images are shuffled and cut: floor(images / images of an example) examples, whose answers are those of their true
    symbols. A rule that few tuples satisfy, as addition with an image of the sum, has its examples drawn, by
    `draw_examples`, until a class of images is used up.

    Args:
        constraint: the rule.
        images: uint8 [images, channels, height, width], or vectors, float32 [images, D].
        labels: class of each image, int64 [images].
        classes: the name of each class.
        n: how many examples, at most; None for as many as there are.
        generator: on the CPU.
        features: of each image, [images, D], to say which are alike.

    Raises:
        UserError: there are too few images for one example, or the classes can't say what an image of the rule shows.
    """
    naming = naming_calls(constraint, classes)
    rows = _cut(naming, labels, classes, generator)
    if rows is not None:
        rows = {image: own[:n] for image, own in rows.items()}
        symbols = {call.key: _symbols(call, labels[rows[image]], classes) for image, call in naming.items()}
        known, answers = _answers(constraint, symbols)
        if known:
            given = {} if features is None else dict.fromkeys(rows, features)
            return Examples(Inputs.of_pool(images, rows), answers, symbols, reused=False, features=given)
    return _draw_each_once(constraint, images, labels, classes, n, generator, features)


def cut_test_examples(constraint: Constraint, images: Images) -> Examples:
    """The test images, shuffled once and cut, always in the same way."""
    generator = torch.Generator().manual_seed(0)
    return cut_examples(constraint, images.x_test, images.y_test, images.classes, None, generator)


def _cut(
    naming: dict[str, Variable], labels: Tensor, classes: tuple[str, ...], generator: torch.Generator
) -> dict[str, Tensor] | None:
    """For each image of the query the rows of those that it shows; None where two share some classes, not all."""
    groups: dict[frozenset[str], list[str]] = {}
    for image, call in naming.items():
        groups.setdefault(frozenset(map(str, call.domain)), []).append(image)
    if sum(map(len, groups)) > len(frozenset().union(*groups)):
        return None
    order = torch.randperm(len(labels), generator=generator)
    rows: dict[str, Tensor] = {}
    for names, members in groups.items():
        own = torch.tensor([name in names for name in classes])[labels[order]]
        shown = order[own]
        fitting = len(shown) // len(members) * len(members)
        rows |= dict(zip(members, shown[:fitting].view(-1, len(members)).unbind(1), strict=True))
    fewest = min(map(len, rows.values()))
    if not fewest:
        raise UserError(f"{len(labels)} images are too few for an example of {len(naming)}.")
    return {image: rows[image][:fewest] for image in naming}


def _symbols(call: Variable, shown: Tensor, classes: tuple[str, ...]) -> Tensor:
    """The index of each image's symbol in the call's domain, from its class, int64 [n]."""
    names = [str(symbol) for symbol in call.domain]
    index = torch.tensor([names.index(name) if name in names else -1 for name in classes])
    return index[shown]


def _answers(constraint: Constraint, symbols: dict[Key, Tensor]) -> tuple[bool, Tensor | None]:
    """Whether the symbols decide the rule's arguments, or where it has none, that it holds; and the arguments' numbers,
    int64 [n, arguments]."""
    found = []
    n = len(next(iter(symbols.values())))
    for rows in torch.arange(n).split(CHUNK):
        log_probs = {}
        for variable in constraint.variables:
            known = symbols[variable.key][rows] if variable.key in symbols else None
            log_probs[variable.key] = _certain(known, len(rows), len(variable.domain))
        with warnings.catch_warnings(action="ignore"):  # that symbols are impossible is what is looked for
            if not constraint.arguments:
                if constraint.log_prob(log_probs).min() < -SURE:
                    return False, None
                continue
            posteriors = [own for elements in constraint.answer_posterior(log_probs).values() for own in elements]
        if any(not own.shape[1] or own.amax(1).min() < -SURE for own in posteriors):
            return False, None
        found.append(torch.stack([own.argmax(1) for own in posteriors], 1))
    return True, torch.cat(found) if found else None


def _certain(symbols: Tensor | None, n: int, size: int) -> Tensor:
    """Log-probabilities, [n, size]: all of the symbols', or where they are not known uniform."""
    if symbols is None:
        return torch.full((n, size), 1 / size).log()
    return torch.full((n, size), -torch.inf).scatter(1, symbols.unsqueeze(1), 0.0)


def _draw_each_once(
    constraint: Constraint,
    images: Tensor,
    labels: Tensor,
    classes: tuple[str, ...],
    n: int | None,
    generator: torch.Generator,
    features: Tensor | None,
) -> Examples:
    naming = naming_calls(constraint, classes)
    most = len(images) // len(naming)
    if not most:
        raise UserError(f"{len(images)} images are too few for an example of {len(naming)}.")
    solutions = constraint.sample(most if n is None else min(n, most), generator)
    fitting = _fitting({call: solutions[call.key] for call in naming.values()}, labels.bincount(), classes)
    if not fitting:
        raise UserError("The images are too few for one example of the rule.")
    solutions = {key: values[:fitting] for key, values in solutions.items()}
    return give_images(constraint, solutions, images, labels, classes, generator, features)


def _fitting(symbols: dict[Variable, Tensor], available: Tensor, classes: tuple[str, ...]) -> int:
    """How many examples, the first ones, need no image twice."""
    used = torch.zeros(len(next(iter(symbols.values()))), len(classes), dtype=torch.long)
    for call, values in symbols.items():
        numbers = torch.tensor([classes.index(str(symbol)) for symbol in call.domain])[values]
        used += torch.nn.functional.one_hot(numbers, len(classes))
    available = torch.nn.functional.pad(available, (0, len(classes) - len(available)))
    return int((used.cumsum(0) <= available).all(1).sum())
