"""The examples of several queries as one set, of which every batch has some of each."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from gedi_nesy.core.seeds import mix_seeds
from gedi_nesy.data.scale import Scale
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Key, Variable
from gedi_nesy.nesy.batch import Batch, Loader
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.inputs import Inputs
from gedi_nesy.nesy.queries import Rule, parts_of
from gedi_nesy.nesy.reading import Reading, Readings, find_readings
from gedi_nesy.nesy.recipe import View

ASKED = 1000  # examples that say how much a query tells


class JointLoader:
    """The loaders of several queries as one.

    The examples are numbered such that those of every query are spread evenly, in their order: the first n are a fair
    sample of all.

    Args:
        parts: a loader for each query, on one device, with the same readings.

    Attributes:
        calls: for each network the variables of all queries that it decides, with keys as in `Queries`.
    """

    def __init__(self, parts: Sequence[Loader]):
        self.parts = list(parts)
        self.device, self.readings = parts[0].device, parts[0].readings
        self.calls: dict[str, list[Variable]] = {}
        for number, part in enumerate(parts):
            for network, calls in part.calls.items():
                own = [Variable((number, call.key), network, call.inputs, call.domain) for call in calls]
                self.calls.setdefault(network, []).extend(own)
        owner = torch.cat([torch.full((len(part),), number) for number, part in enumerate(parts)])
        row = torch.cat([torch.arange(len(part)) for part in parts])
        place = torch.cat([(torch.arange(len(part)) + 0.5) / len(part) for part in parts])
        order = place.argsort(stable=True)
        self._owner, self._row = owner[order], row[order]  # the query of each example, and its number there
        self._of_query = [(self._owner == number).nonzero().squeeze(1) for number in range(len(parts))]

    def __len__(self) -> int:
        return len(self._owner)

    @property
    def calls_each(self) -> int:
        """How often an example's rule calls a network, in the mean, rounded up."""
        return -(-sum(len(part) * part.calls_each for part in self.parts) // len(self))

    @property
    def sizes(self) -> dict[str, dict[Key, int]]:
        """For each network how many examples have each of its variables."""
        return {name: {call.key: len(self.parts[call.key[0]]) for call in own} for name, own in self.calls.items()}

    @property
    def has_lines(self) -> bool:
        """Whether the examples are lines of a table."""
        return any(part.has_lines for part in self.parts)

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """For each network the inputs of all queries, as the network gets them, [n, C, H, W] or [n, D]."""
        pools = {name: [part.inputs[name] for part in self.parts if name in part.inputs] for name in self.calls}
        return {name: torch.cat(own) if len(own) > 1 else own[0] for name, own in pools.items()}

    def some(self, n: int) -> "JointLoader":
        """About n of the examples, or all where there are fewer; at least one of each query."""
        share = min(1.0, n / len(self))
        return JointLoader([part.some(max(1, round(share * len(part)))) for part in self.parts])

    def distinct(self, network: str) -> Tensor:
        """The different inputs, or tuples of inputs, that a network reads in each query."""
        return torch.cat([part.distinct(network) for part in self.parts if network in part.calls])

    def step_rows(self, batch: int, step: int, seed: int) -> Tensor:
        """The examples of one training step, as of `examples.batch_rows`, of each query by its share, one at least."""
        per_epoch = -(-len(self) // batch)
        epoch, position = divmod(step, per_epoch)
        rows = []
        for number, own in enumerate(self._of_query):
            generator = torch.Generator().manual_seed(mix_seeds(seed, epoch, number))
            order = own[torch.randperm(len(own), generator=generator)]
            enough = order.repeat(-(-per_epoch // len(own))) if len(own) < per_epoch else order
            rows.append(enough.tensor_split(per_epoch)[position])
        return torch.cat(rows)

    def batch(self, rows: Tensor) -> Batch:
        """The examples with these numbers, int64 [B]; the answers are a list, for each query its examples' or None."""
        owner, row = self._owner[rows], self._row[rows]
        parts = [part.batch(row[owner == number]) for number, part in enumerate(self.parts)]
        images = {name: torch.cat([part.images[name] for part in parts if name in part.images]) for name in self.calls}
        keys = {network: [call.key for call in calls] for network, calls in self.calls.items()}
        by_key = {(number, key): own for number, part in enumerate(parts) for key, own in part.rows.items()}
        numbers = [part.answers for part in self.parts]
        chosen = [None if own is None else own[row[owner == k].to(self.device)] for k, own in enumerate(numbers)]
        return Batch(images, keys, chosen, len(rows), by_key)


AnyLoader = Loader | JointLoader


def load_examples(examples: Sequence[Examples], rule: Rule, readings: Readings, device: torch.device) -> AnyLoader:
    """The examples of each query of a rule on the training device."""
    parts = [Loader(*own, readings, device) for own in zip(examples, parts_of(rule), strict=True)]
    return JointLoader(parts) if len(parts) > 1 else parts[0]


@torch.no_grad()
def information(constraint: Constraint, loader: Loader) -> float:
    """What a query's examples say of each of their inputs, in nats: -log P(rule) where all symbols are as likely."""
    answers = None if loader.answers is None else loader.answers[:ASKED].cpu()
    n = 1 if answers is None else len(answers)
    even = {v.key: torch.full((n, len(v.domain)), 1 / len(v.domain)).log() for v in constraint.variables}
    return -constraint.log_prob(even, answers).mean().item() / len(constraint.variables)


def joint_readings(
    rule: Rule, examples: Sequence[Examples], scale: Scale, device: torch.device, settings: View
) -> dict[str, Reading]:
    """How each network reads its inputs, told from those of all queries; the arguments are as for `find_readings`."""
    if len(examples) == 1:
        return find_readings(parts_of(rule)[0], examples[0].inputs, scale, device, settings)
    by_shape: dict[torch.Size, dict[int, Tensor]] = {}
    for x in (x for own in examples for x in own.inputs.pools.values()):
        by_shape.setdefault(x.shape[1:], {})[id(x)] = x
    joined = {shape: torch.cat([*pools.values()]) for shape, pools in by_shape.items()}
    readings: dict[str, Reading] = {}
    for constraint, own in zip(parts_of(rule), examples, strict=True):
        inputs = Inputs({image: joined[x.shape[1:]] for image, x in own.inputs.pools.items()}, own.inputs.rows)
        readings = find_readings(constraint, inputs, scale, device, settings) | readings
    return readings
