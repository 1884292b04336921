"""Examples of a rule as a report shows them: those that fit it least, then some of the others."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gedi_nesy.logic.arguments import written
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Variable
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.evaluate import Fit, Fitted
from gedi_nesy.nesy.rows import doubtful
from gedi_nesy.report.examples import Card, Shown

LEAST, OTHERS = 12, 9  # examples that are shown


def show_examples(fit: Fit, constraint: Constraint, loader: Loader) -> dict[str, list[Card]]:
    """By heading, the examples that are least likely under the rule, and others at random, always the same ones.

    Of networks that read vectors no picture shows what they read; without any picture there is nothing to show.
    """
    if all(loader.readings[name].is_vector for name in loader.calls):
        return {}
    least = doubtful(fit)[:LEAST].tolist()
    order = torch.randperm(len(loader), generator=torch.Generator().manual_seed(0)).tolist()
    others = [number for number in order if number not in least][:OTHERS]
    sections = {"Those that fit the rule least": least, "Others, drawn at random": others}
    return {
        heading: [_card(number, fit, constraint, loader) for number in numbers]
        for heading, numbers in sections.items()
        if numbers
    }


def show_all(parts: Sequence[Fitted]) -> dict[str, list[Card]]:
    """The sections of each query; of several the headings name it."""
    shown = {}
    for part in parts:
        before = f"{part.constraint.query.goal}: " * (len(parts) > 1)
        for heading, cards in show_examples(part.fit, part.constraint, part.loader).items():
            shown[before + heading] = cards
    return shown


def _card(number: int, fit: Fit, constraint: Constraint, loader: Loader) -> Card:
    breaks, log_prob = bool(fit.satisfied[number] == 0), fit.log_prob[number].item()
    p = math.exp(log_prob)
    likely = f"P = {p:.2f}" if p >= 0.01 else f"P = {p:.1g}" if p else "impossible"
    images = [image for image, pool in loader.examples.inputs.pools.items() if pool.dim() == 4]
    return Card(
        f"{'breaks' if breaks else 'satisfies'} the rule, {likely}",
        ", ".join(_facts(number, fit, constraint, loader)),
        breaks,
        [_shown(image, number, fit, constraint, loader) for image in images],
    )


def _facts(number: int, fit: Fit, constraint: Constraint, loader: Loader) -> list[str]:
    """The line of a table, the arguments' values, and what was read in several images or in vectors."""
    lines, answers = loader.examples.lines, loader.examples.answers
    line = [f"line {lines[number]}"] if lines else []
    answer = () if answers is None else constraint.answer_of(answers[number])
    given = [f"{name} = {written(value)}" for name, value in zip(constraint.arguments, answer, strict=True)]
    pools = loader.examples.inputs.pools
    apart = [call for call in constraint.variables if len(call.inputs) > 1 or pools[call.inputs[0]].dim() == 2]
    read = [f"{', '.join(call.inputs)}: {_symbol(call, fit.symbols[call.key], number)}" for call in apart]
    return line + given + read


def _shown(image: str, number: int, fit: Fit, constraint: Constraint, loader: Loader) -> Shown:
    """An image with the symbols of all calls that read it alone, and the true one where it is another."""
    inputs, true = loader.examples.inputs, loader.examples.symbols
    calls = [call for call in constraint.variables if call.inputs == (image,)]
    read = " ".join(_symbol(call, fit.symbols[call.key], number) for call in calls)
    wrong = [
        _symbol(call, true[call.key], number)
        for call in calls
        if call.key in true and true[call.key][number] != fit.symbols[call.key][number].cpu()
    ]
    pixels = inputs.pools[image][inputs.rows[image][number]] / 255
    return Shown(pixels, f"{read}, not {wrong[0]}" if wrong else read, bool(wrong))


def _symbol(call: Variable, symbols: Tensor, number: int) -> str:
    return str(call.domain[int(symbols[number])])
