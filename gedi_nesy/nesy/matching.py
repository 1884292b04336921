"""Symbols from likeness: inputs that are alike share a symbol, and the rule says which one.

With few examples a network memorises the wrong symbols before it learns to see. No network is needed to find the right
ones: which inputs are alike is known from their shapes or from given features (`nesy.likeness`), so the symbols that
satisfy the rule in every example and give like inputs the same name can be searched for directly, by annealed Gibbs
sampling over the rule's solutions, many chains side by side.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Key
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.labels import Labels
from gedi_nesy.nesy.likeness import Likeness, by_cosine, by_shape
from gedi_nesy.nesy.losses import Targets
from gedi_nesy.nesy.recipe import Matching, Recipe
from gedi_nesy.views.deformation import affinity

LABELLED = 0.2  # share of all inputs as which the labelled ones count together
LARGEST_POOL = 3000  # images; every two of them are compared
# How many times more pairs of inputs share a symbol than if all symbols were as common, where the recipe says that they
# are not; the one that separates best is taken. On a tuning draw, of ten digits, Zipf's law had 3.2, two digits eight
# times as common as the others 1.9.
SKEWS = (1.0, 2.0, 3.2)
LARGEST_SHARE = 0.9  # of the pairs
BLOCKS = 20  # a sweep redraws the examples in this many blocks, the examples of one side by side
HOT, COLD = 0.3, 0.006  # first and last temperature, in the pull of all other images on one


class NoLikeness(UserError):
    """Nothing says which inputs are alike."""


@dataclass(frozen=True)
class Matched:
    """The result of matching.

    Attributes:
        energy: of the best chain: minus the affinity of all pairs of images that share a symbol, in its own units.
        margin: how much worse the best chain with other symbols is, as a share of what random solutions of the rule are
            worse by; 1 if all chains have the same symbols, and None if there was only one chain.
        chains: how many chains have the symbols of the best one.
        likeness: the kind of likeness, "shape" or "features".
        separation: how well the likeness separates the symbols, with no label looked at: the share of examples in
            which the symbols that the inputs of other examples vote for satisfy the rule, 0 as by chance and 1 if all.
    """

    energy: float
    margin: float | None
    chains: int
    likeness: str = "shape"  # as in older checkpoints
    separation: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """For summary.json and the checkpoint."""
        return asdict(self)


def _tell(swept: Callable[[int, int], None], before: int, sweeps: int, done: int) -> None:
    swept(before + done, sweeps)


def least_separation(settings: Matching, constraint: Constraint) -> float:
    """The separation below which symbols are doubted: of k images all must be right, so beyond three it is less."""
    return settings.separation ** max(1.0, len(constraint.variables) / 3)


@torch.no_grad()
def match(
    constraint: Constraint,
    loader: Loader,
    recipe: Recipe,
    swept: Callable[[int, int], None] = lambda sweep, sweeps: None,
    likeness: Mapping[str, Likeness] | None = None,
    labels: Labels = MappingProxyType({}),
) -> tuple[Matched, Targets]:
    """Search for symbols that satisfy the rule in every example and give like images the same name.

    No label is looked at.

    Args:
        constraint: the rule.
        loader: the examples.
        recipe: its `matching` has the settings.
        swept: told after each sweep how many are done, and of how many.
        likeness: of the inputs in each network's pool, behind them the labelled ones; by default `find_likeness`.
        labels: inputs whose symbol is known; those that are like them prefer it.

    Returns:
        The result, and for each variable the share of the trusted chains that give it each symbol,
        [examples, classes]; rows of 0 for examples beyond the first `settings.examples`, which are not matched.

    Raises:
        UserError: as `check_matchable`.
    """
    settings = recipe.matching
    assert settings is not None
    few, device = loader.first(settings.examples), loader.device
    likeness = likeness or find_likeness(loader, labels)
    known = {network: few for network, few in labels.items() if loader.features(network) is None}
    skews = SKEWS if "learned" in (recipe.train.prior, recipe.last.prior) else SKEWS[:1]
    found = []
    for k, skew in enumerate(skews):
        generator = torch.Generator().manual_seed(recipe.seed)
        pairs = {network: _affinities(network, few, settings, likeness[network], known, skew) for network in few.calls}
        affinities = {network: own for network, (own, _) in pairs.items()}
        chains = _Chains(constraint, few, affinities, settings.chains, generator, _fields(pairs, known))
        unguided = chains.energy().mean().item()
        chains.anneal(settings.sweeps, partial(_tell, swept, k * settings.sweeps, len(skews) * settings.sweeps))
        names = " and ".join(dict.fromkeys(one.name for one in likeness.values()))
        found.append(_judge(chains, recipe.agreement, names, unguided))
    matched, targets = max(found, key=lambda one: one[0].separation or 0.0)
    unmatched = len(loader) - len(few)
    return matched, {key: F.pad(shares, (0, 0, 0, unmatched)).to(device) for key, shares in targets.items()}


def find_likeness(loader: Loader, labels: Labels = MappingProxyType({})) -> dict[str, Likeness]:
    """For each network how its inputs are compared: by given features, drawings by shape, vectors by their cosine.

    Labelled inputs stand behind the pool's, where there are no features.

    Raises:
        NoLikeness: a network reads pictures that come without features.
    """
    likenesses = {}
    for network, reading in loader.readings.items():
        features, inputs = loader.features(network), loader.pool(network)
        if network in labels:
            inputs = torch.cat([inputs, labels[network].inputs])
        if features is not None:
            likenesses[network] = by_cosine(features)
        elif reading.kind == "vector":
            likenesses[network] = by_cosine(inputs)
        elif reading.kind == "drawing":
            likenesses[network] = by_shape(inputs)
        else:
            raise NoLikeness(
                f"Nothing says which of the pictures that {network} reads are alike, so they can't be matched: give "
                "--features, or take --recipe gedi-nesy-restarts, which does without."
            )
    return likenesses


def check_matchable(loader: Loader, settings: Matching) -> None:
    """UserError if `match` could not compare the examples' images."""
    find_likeness(loader)
    few = loader.first(settings.examples)
    for network in few.calls:
        _images_read(network, few, settings)


class _Chains:
    """R joint assignments of symbols to all images, each satisfying the rule in every example."""

    def __init__(
        self,
        constraint: Constraint,
        loader: Loader,
        affinities: Mapping[str, Tensor],
        chains: int,
        generator: torch.Generator,
        fields: Mapping[str, Tensor] = MappingProxyType({}),
    ):
        self.constraint, self.loader, self.generator = constraint, loader, generator
        self.affinities, self.chains, self.fields = affinities, chains, fields
        self.pull = {network: pairs.abs().sum(1).mean().clamp_min(1e-6) for network, pairs in affinities.items()}
        start = constraint.sample(len(loader) * chains, generator)
        self.symbols: dict[str, Tensor] = {}  # one-hot [calls * examples, R, classes] for each network
        for network, calls in loader.calls.items():
            drawn = torch.cat([start[call.key] for call in calls]).view(-1, chains)
            self.symbols[network] = F.one_hot(drawn, len(calls[0].domain)).float()
        if constraint.arguments:  # a uniform draw has arguments of its own
            self.redraw(torch.arange(len(loader)), torch.inf)

    def anneal(self, sweeps: int, swept: Callable[[int], None]) -> None:
        """Redraw all examples so many times, ever colder; `swept` is told after each sweep how many are done."""
        for sweep in range(sweeps):
            progress = sweep / max(sweeps - 1, 1)
            for block in torch.randperm(len(self.loader), generator=self.generator).chunk(BLOCKS):
                self.redraw(block, HOT * (COLD / HOT) ** progress)
            swept(sweep + 1)

    def redraw(self, block: Tensor, temperature: float) -> None:
        """Draw the symbols of some examples afresh, given all others, from p(symbols | rule) at a temperature."""
        scores: dict[Key, Tensor] = {}
        rows = {call.key: k * len(self.loader) + block for _, k, call in self._calls()}
        for network, _, call in self._calls():
            self.symbols[network][rows[call.key]] = 0
        for network, _, call in self._calls():
            symbols = self.symbols[network]
            pulls = self.affinities[network][rows[call.key]] @ symbols.flatten(1)
            pulls = pulls.view(len(block), -1, symbols.shape[-1])
            if network in self.fields:
                pulls = pulls + self.fields[network][rows[call.key]].unsqueeze(1)
            heat = temperature * self.pull[network]
            scores[call.key] = (pulls.flatten(0, 1) / heat).log_softmax(-1)
        answers = self.loader.examples.answers
        given = None if answers is None else answers[block].repeat_interleave(self.chains, 0)
        drawn = self.constraint.sample_posterior(scores, given, generator=self.generator)
        for network, _, call in self._calls():
            one_hot = F.one_hot(drawn[call.key].view(len(block), -1), len(call.domain))
            self.symbols[network][rows[call.key]] = one_hot.float()

    def energy(self) -> Tensor:
        """Minus the affinity of all pairs that share a symbol, [R]."""
        total = torch.zeros(self.chains)
        for network, symbols in self.symbols.items():
            pulls = (self.affinities[network] @ symbols.flatten(1)).view_as(symbols)
            total -= (pulls * symbols).sum((0, 2)) / 2
            if network in self.fields:
                total -= (self.fields[network].unsqueeze(1) * symbols).sum((0, 2))
        return total

    def votes(self, chain: int) -> dict[Key, Tensor]:
        """For each variable the symbol that the inputs of all other examples vote for, [examples]."""
        n, votes = len(self.loader), {}
        for network, k, call in self._calls():
            pairs = self.affinities[network][k * n : (k + 1) * n].unflatten(1, (-1, n))  # [examples, calls, examples]
            others = pairs * (1 - torch.eye(n)).unsqueeze(1)
            votes[call.key] = (others.flatten(1) @ self.symbols[network][:, chain]).argmax(1)
        return votes

    def separation(self, chain: int) -> float:
        """See `Matched`; what chance gives is measured with every variable's votes in a random order."""
        votes, n = self.votes(chain), len(self.loader)
        satisfied = self._satisfied(votes)
        shuffled = {key: symbols[torch.randperm(n, generator=self.generator)] for key, symbols in votes.items()}
        chance = self._satisfied(shuffled)
        return (satisfied - chance) / max(1 - chance, 1e-6)

    def _satisfied(self, symbols: Mapping[Key, Tensor]) -> float:
        """The mean of P(rule | symbols) over the examples."""
        sizes = {call.key: len(call.domain) for _, _, call in self._calls()}
        certain = {key: F.one_hot(values, sizes[key]).float().log() for key, values in symbols.items()}
        with warnings.catch_warnings(action="ignore"):  # that wrong symbols make the rule impossible
            return self.constraint.log_prob(certain, self.loader.examples.answers).exp().mean().item()

    def targets(self, trusted: Tensor) -> Targets:
        """For each variable the share of the trusted chains that give it each symbol, [examples, classes]."""
        n = len(self.loader)
        return {
            call.key: self.symbols[network][k * n : (k + 1) * n, trusted].mean(1) for network, k, call in self._calls()
        }

    def _calls(self) -> list[tuple[str, int, Any]]:
        """The network, its number among the network's calls, and the call, for each variable of the rule."""
        return [(network, k, call) for network, calls in self.loader.calls.items() for k, call in enumerate(calls)]


def _affinities(
    network: str, loader: Loader, settings: Matching, likeness: Likeness, labels: Labels, skew: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The affinity of every two calls of a network, by the inputs that they read, [calls, calls].

    `skew` is how many times more pairs share a symbol than if all symbols were as common.

    Returns:
        This affinity, and the affinity of every call and every labelled input, [calls, m].
    """
    pool, places = _images_read(network, loader, settings).unique(return_inverse=True)
    known = len(labels[network].symbols) if network in labels else 0
    rows = torch.cat([pool, len(loader.pool(network)) + torch.arange(known)])
    places = torch.cat([places, (len(pool) + torch.arange(known)).expand(len(places), -1)], 1)
    distances = likeness.distances(rows)
    between = sum(distances[slot][:, slot] for slot in places)
    assert isinstance(between, Tensor)
    classes = len(loader.calls[network][0].domain)
    share, calls = min(skew / classes, LARGEST_SHARE), len(between) - known
    pairs = affinity(between, settings.neighbours, share, settings.repulsion)
    return pairs[:calls, :calls], pairs[:calls, calls:]


def _fields(pairs: Mapping[str, tuple[Tensor, Tensor]], labels: Labels) -> dict[str, Tensor]:
    """What the labelled inputs add to the pull of each symbol on each call, [calls, classes].

    Together they count as LABELLED of all inputs, or as what they are where that is more.
    """
    fields = {}
    for network, few in labels.items():
        calls, known = pairs[network][1].shape
        fields[network] = max(1.0, LABELLED * calls / known) * (pairs[network][1] @ few.one_hot)
    return fields


def _images_read(network: str, loader: Loader, settings: Matching) -> Tensor:
    """The rows in the pool of the images that each call of a network reads, [images, calls], on the CPU.

    Raises:
        UserError: if they are too many or too few to match.
    """
    calls = loader.calls[network]
    images = torch.cat([torch.stack([loader.rows[image] for image in call.inputs]) for call in calls], 1)
    if images.shape[1] > LARGEST_POOL:
        raise UserError(
            f"Matching compares every two of the {images.shape[1]} images that {network} reads and takes "
            f"{LARGEST_POOL} at most; match fewer with a smaller matching.examples."
        )
    if images.shape[1] <= settings.neighbours:
        raise UserError(
            f"Matching needs more than matching.neighbours = {settings.neighbours} images, and {network} reads "
            f"{images.shape[1]}; give it more examples."
        )
    return images.cpu()


def _judge(chains: _Chains, least_agreement: float, likeness: str, unguided: float) -> tuple[Matched, Targets]:
    """What was found; unguided is the energy of solutions that don't look at likeness."""
    energies = chains.energy()
    best = int(energies.argmin())
    symbols = torch.cat([one_hot.argmax(-1) for one_hot in chains.symbols.values()])  # [calls * examples, R]
    agreement = (symbols == symbols[:, best : best + 1]).float().mean(0)
    trusted = agreement >= least_agreement
    others = energies[~trusted]
    energy = energies[best].item()
    rival = others.min().item() if len(others) else unguided
    margin = None if len(energies) == 1 else (rival - energy) / max(unguided - energy, 1e-6)
    found = Matched(energy, margin, int(trusted.sum()), likeness, chains.separation(best))
    return found, chains.targets(trusted)
