"""The images of a batch of examples, and the restarts' predictions for them."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gedi_nesy.data.scale import Scale
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Key, Variable
from gedi_nesy.nesy.candidates import Candidates
from gedi_nesy.nesy.examples import Examples, batch_rows
from gedi_nesy.nesy.queries import Queries, Rule, join, parts_of, split
from gedi_nesy.nesy.reading import Readings, check_inputs, find_readings
from gedi_nesy.nesy.recipe import Stage
from gedi_nesy.runs.device import send

Answers = Tensor | None | list[Tensor | None]


@dataclass(frozen=True)
class Batch:
    """The images of B examples, grouped by the network that reads them.

    Attributes:
        images: for each network the images of its variables, one variable after the other; where a call reads several
            images, they are its channels: [variables * B, images * C, H, W], or [variables * B, images * D].
        keys: for each network its variables' keys, in that order.
        answers: the numbers of each example's arguments, int64 [B, arguments]; None where the query has none; of
            several queries a list.
        size: B.
        rows: for each variable the numbers of the examples that have it, int64 [B], or of several queries [b].
    """

    images: dict[str, Tensor]
    keys: dict[str, list[Key]]
    answers: Answers
    size: int
    rows: dict[Key, Tensor]

    def view(self, stage: Stage, readings: Readings, generator: torch.Generator) -> "Batch":
        """The same examples under the stage's augmentation."""
        images = {network: readings[network].view(x, stage, generator) for network, x in self.images.items()}
        return replace(self, images=images)

    def by_variable(self, outputs: Mapping[str, Tensor]) -> dict[Key, Tensor]:
        """Networks' outputs [K, variables * B, classes] -> {key: [K, B, classes]}."""
        split: dict[Key, Tensor] = {}
        for network, keys in self.keys.items():
            sizes = [len(self.rows[key]) for key in keys]
            split |= dict(zip(keys, outputs[network].split(sizes, 1), strict=True))
        return split


class Loader:
    """Examples on the training device, ready to be cut into batches.

    Args:
        examples: the examples.
        constraint: the rule.
        readings: how the networks read their inputs; or only the scale of pictures, and the examples tell the rest.
        device: where the networks are.

    Attributes:
        inputs: for each network the pool of its images, as the network gets them, [n, C, H, W] or [n, D].

    Raises:
        UserError: inputs are unlike the inputs of the readings.
    """

    def __init__(self, examples: Examples, constraint: Constraint, readings: Readings | Scale, device: torch.device):
        self.examples, self.device = examples, device
        if isinstance(readings, Scale):
            readings = find_readings(constraint, examples.inputs, readings, device)
        check_inputs(readings, constraint, examples.inputs)
        self.readings = readings
        self.rows = {image: rows.to(device) for image, rows in examples.rows.items()}
        self.answers = None if examples.answers is None else examples.answers.to(device)
        self.calls: dict[str, list[Variable]] = {}
        for variable in constraint.variables:
            self.calls.setdefault(variable.network, []).append(variable)
        scaled: dict[int, Tensor] = {}
        self.inputs: dict[str, Tensor] = {}
        for network in self.calls:
            pool = self.pool(network)
            if id(pool) not in scaled:
                scaled[id(pool)] = self.readings[network].scale.to_inputs(pool.to(device))
            self.inputs[network] = scaled[id(pool)]

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def parts(self) -> list["Loader"]:
        """The loader of each query: of one itself."""
        return [self]

    @property
    def calls_each(self) -> int:
        """How often an example's rule calls a network."""
        return sum(len(calls) for calls in self.calls.values())

    def step_rows(self, batch: int, step: int, seed: int) -> Tensor:
        """The examples of one training step, see `examples.batch_rows`."""
        return batch_rows(len(self), batch, step, seed)

    @property
    def has_lines(self) -> bool:
        """Whether the examples are lines of a table."""
        return bool(self.examples.lines)

    def pool(self, network: str) -> Tensor:
        """The pool of a network's images, as it was given, uint8 [n, C, H, W] or float32 [n, D]."""
        return self.examples.inputs.pools[self.calls[network][0].inputs[0]]

    def features(self, network: str) -> Tensor | None:
        """The features given beside a network's pool, [n, D]."""
        return self.examples.features.get(self.calls[network][0].inputs[0])

    def some_rows(self, n: int) -> Tensor:
        """The numbers of n examples, or of all where there are fewer, int64 [n], on the CPU.

        They are spread evenly over a table, which may be sorted; examples that are drawn are in a random order.
        """
        n = min(n, len(self))
        return torch.arange(n) * len(self) // max(n, 1) if self.has_lines else torch.arange(n)

    def some(self, n: int) -> "Loader":
        """The examples of `some_rows`."""
        chosen, few = self.some_rows(n), copy.copy(self)
        there = chosen.to(self.device)
        few.examples = self.examples.take(chosen)
        few.rows = {image: rows[there] for image, rows in self.rows.items()}
        few.answers = None if self.answers is None else self.answers[there]
        return few

    def distinct(self, network: str) -> Tensor:
        """The different inputs, or tuples of inputs, that a network reads: [n, images * C, H, W] or [n, images * D]."""
        read = [torch.stack([self.rows[image] for image in call.inputs], 1) for call in self.calls[network]]
        return self.inputs[network][torch.cat(read).unique(dim=0)].flatten(1, 2)

    def batch(self, rows: Tensor) -> Batch:
        """The examples with these numbers, int64 [B]."""
        where = send(rows, self.device)
        images, keys = {}, {}
        for network, calls in self.calls.items():
            read = [torch.stack([self.rows[image][where] for image in call.inputs], 1) for call in calls]
            images[network] = self.inputs[network][torch.cat(read)].flatten(1, 2)
            keys[network] = [call.key for call in calls]
        answers = None if self.answers is None else self.answers[where]
        return Batch(images, keys, answers, len(rows), {call.key: rows for of in self.calls.values() for call in of})


def predict(candidates: Candidates, batch: Batch, block: int | None = None) -> dict[str, Tensor]:
    """Every network's logits on its images, all at once or in blocks: {network: [K, variables * B, classes]}."""
    return {
        network: torch.cat([candidates(network, some) for some in images.split(block or len(images))], 1)
        for network, images in batch.images.items()
    }


def rule_log_prob(rules: Sequence[Rule], log_probs: Mapping[Key, Tensor], answers: Answers) -> Tensor:
    """log P(rule | images) for every restart: {key: [K, B, classes]} -> [K, B], of several queries one after the other.

    Args:
        rules: each restart's rule, or a single one for all.
        log_probs: of every variable's symbols.
        answers: as in `Batch`.
    """
    if isinstance(rules[0], Queries):
        return torch.cat([rule_log_prob(*own) for own in _by_query(rules, log_probs, answers)], 1)
    parts = []
    for rule, own in _by_rule(rules, log_probs):
        restarts, batch, _ = next(iter(own.values())).shape
        flat, tiled = _flatten(own, answers)
        parts.append(rule.log_prob(flat, tiled).view(restarts, batch))
    return torch.cat(parts)


def rule_posterior(rules: Sequence[Rule], log_probs: Mapping[Key, Tensor], answers: Answers) -> dict[Key, Tensor]:
    """p(y | rule, images) for every restart, {key: [K, B, classes]}; see `rule_log_prob` for the arguments."""
    if isinstance(rules[0], Queries):
        return join(rules[0], [rule_posterior(*own) for own in _by_query(rules, log_probs, answers)])
    parts = []
    for rule, own in _by_rule(rules, log_probs):
        flat, tiled = _flatten(own, answers)
        exact = rule.posterior(flat, tiled)
        parts.append({key: exact[key].view_as(own[key]).exp() for key in own})
    return {key: torch.cat([part[key] for part in parts]) for key in log_probs}


def _by_query(
    rules: Sequence[Rule], log_probs: Mapping[Key, Tensor], answers: Answers
) -> Iterator[tuple[list[Constraint], dict[Key, Tensor], Tensor | None]]:
    """For each query its restarts' constraints, its variables' log-probabilities and its examples' answers."""
    assert isinstance(rules[0], Queries)
    assert isinstance(answers, list)
    for number, own in enumerate(split(rules[0], log_probs)):
        yield [parts_of(rule)[number] for rule in rules], own, answers[number]


def _by_rule(rules: Sequence[Rule], log_probs: Mapping[Key, Tensor]) -> Iterator[tuple[Constraint, dict[Key, Tensor]]]:
    """Each constraint with the predictions of its restarts."""
    for i, rule in enumerate(rules):
        assert isinstance(rule, Constraint)
        yield rule, {key: values.chunk(len(rules))[i] for key, values in log_probs.items()}


def _flatten(log_probs: Mapping[Key, Tensor], answers: Answers) -> tuple[dict[Key, Tensor], Tensor | None]:
    """[K, B, classes] -> [K * B, classes], and the arguments' numbers K times over, [K * B, arguments]."""
    assert not isinstance(answers, list)
    restarts = len(next(iter(log_probs.values())))
    flat = {key: values.flatten(0, 1) for key, values in log_probs.items()}
    return flat, None if answers is None else answers.repeat(restarts, 1)
