"""Symbols from likeness: inputs that are alike share a symbol, and the rule says which one.

With few examples a network memorises the wrong symbols before it learns to see. No network is needed to find the right
ones: which inputs are alike is known from their shapes or from given features (`nesy.likeness`), so the symbols that
satisfy the rule in every example and give like inputs the same name can be searched for directly, by annealed Gibbs
sampling over the rule's solutions, many chains side by side.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.assignments import Assignments
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.labels import Labelled, Labels
from gedi_nesy.nesy.likeness import Likeness, by_cosine, by_shape
from gedi_nesy.nesy.losses import Targets
from gedi_nesy.nesy.naming import TOLD, label_weight, least_told
from gedi_nesy.nesy.recipe import Matching, Recipe
from gedi_nesy.views.deformation import affinity

# Tuning seeds: wrong symbols led all others by 0.03 at most (20 examples), right ones by 0.01 to 0.05 of 20 examples
# and by 0.02 to 0.07 of 30, so that some go without a certificate, and by 0.05 and more of 100.
CLEAR = 0.04
LARGEST_POOL = 3000  # images; every two of them are compared
# How many times more pairs of inputs share a symbol than if all symbols were as common, where the recipe says that they
# may not be. Of ten digits, Zipf's law has 3.2 to 3.8, two digits eight times as common as the others 1.9 to 2.3.
SKEWS = (4.5, 3.2, 2.5, 1.9, 1.4)
# On tuning draws what was found came to 0.91 or more of a fitting skew and to 0.87 or less of one too great, except
# where few symbols took all inputs: 0.90 and 0.93, with a separation of 0.6 and 0.3; that of the fitting skew was 0.9.
AS_SKEWED = 0.9
LARGEST_SHARE = 0.5  # of the pairs; where more of them attract, all inputs may get one symbol


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
        told: by how much labels tell apart the two symbols that they tell apart the least, of those that the rule can't
            (`naming`); None without labels, or where the rule names all symbols.
        hardly_told: these two symbols, where the lead is too small.
    """

    energy: float
    margin: float | None
    chains: int
    likeness: str = "shape"  # as in older checkpoints
    separation: float | None = None
    told: float | None = None
    hardly_told: Sequence[str] = ()

    @property
    def leads(self) -> bool:
        """Whether the symbols are clearly better than all others."""
        return self.margin is not None and self.margin >= CLEAR

    def to_dict(self) -> dict[str, Any]:
        """For summary.json and the checkpoint."""
        return asdict(self)


def _count_on(swept: Callable[[int], None], before: int, done: int) -> None:
    swept(before + done)


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
) -> tuple[Matched, list[Targets]]:
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
        The result; for each variable the share of the trusted chains that give it each symbol, [examples, classes],
        with rows of 0 for examples that are not matched; and the same of the best chains with other symbols, where
        there are any.

    Raises:
        UserError: as `check_matchable`.
    """
    settings = recipe.matching
    assert settings is not None
    few = loader.some(settings.examples)
    likeness = likeness or find_likeness(loader, labels)
    search = _Search(constraint, few, recipe, likeness, labels)
    skews, before, total = dict.fromkeys(few.calls, 1.0), 0, settings.sweeps
    if recipe.learns_prior:
        ladders = _ladders(search.classes)
        before = sum(map(len, ladders.values())) * settings.sweeps
        total = before + settings.sweeps
        skews = _find_skews(search, ladders, lambda sweep: swept(sweep, total))
        few = loader.some(max(settings.examples, settings.skewed // loader.calls_each))
        search = _Search(constraint, few, recipe, likeness, labels)
    chains, unguided = search.run(skews, lambda sweep: swept(before + sweep, total))
    names = " and ".join(dict.fromkeys(one.name for one in likeness.values()))
    matched, found = _judge(chains, recipe.agreement, names, unguided, labels)
    return matched, [{key: _among_all(shares, loader) for key, shares in targets.items()} for targets in found]


def _among_all(shares: Tensor, loader: Loader) -> Tensor:
    """The shares of `loader.some`, [n, classes], in their rows among all examples; the others' are 0."""
    rows = loader.some_rows(len(shares))
    return shares.new_zeros(len(loader), shares.shape[1]).index_copy(0, rows, shares).to(loader.device)


class _Search:
    """The search on some examples, by one skew after the other; inputs are compared once."""

    def __init__(
        self, constraint: Constraint, few: Loader, recipe: Recipe, likeness: Mapping[str, Likeness], known: Labels
    ):
        assert recipe.matching is not None
        self.constraint, self.few, self.settings, self.known = constraint, few, recipe.matching, known
        self.seed = recipe.seed
        self.classes = {network: len(calls[0].domain) for network, calls in few.calls.items()}
        self.distances = {name: _distances(name, few, self.settings, likeness[name], known) for name in few.calls}

    def run(self, skews: Mapping[str, float], swept: Callable[[int], None]) -> tuple[Assignments, float]:
        """Annealed assignments, and the mean energy of solutions that don't look at likeness.

        `skews` says of each network how many times more pairs share a symbol than if all symbols were as common.
        """
        pairs = {network: self._affinities(network, skew / self.classes[network]) for network, skew in skews.items()}
        affinities = {network: own for network, (own, _) in pairs.items()}
        generator, fields = torch.Generator().manual_seed(self.seed), _fields(pairs, self.known)
        chains = Assignments(self.constraint, self.few, affinities, self.settings.chains, generator, fields)
        unguided = chains.energy().mean().item()
        chains.anneal(self.settings.sweeps, swept)
        return chains, unguided

    def _affinities(self, network: str, share: float) -> tuple[Tensor, Tensor]:
        """The affinity of every two calls, [calls, calls], and of every call and labelled input, [calls, m]."""
        pairs = affinity(self.distances[network], self.settings.neighbours, share, self.settings.repulsion)
        calls = len(pairs) - (len(self.known[network].symbols) if network in self.known else 0)
        return pairs[:calls, :calls], pairs[:calls, calls:]


def _ladders(classes: Mapping[str, int]) -> dict[str, list[float]]:
    """For each network with so many classes the skews to try, which end with none at all, 1."""
    return {network: [*(skew for skew in SKEWS if skew <= LARGEST_SHARE * n), 1.0] for network, n in classes.items()}


def _find_skews(
    search: _Search, ladders: Mapping[str, Sequence[float]], swept: Callable[[int], None]
) -> dict[str, float]:
    """For each network the skew that separates symbols best, of those whose matched symbols are as skewed as it says.

    Too great a skew may bear itself out: a few symbols take all inputs, and likeness does not follow them. Of several
    networks one is settled after the other, the later ones without a skew meanwhile.
    """
    skews, searches = dict.fromkeys(ladders, 1.0), 0
    for network, ladder in ladders.items():
        borne_out: list[tuple[float, float]] = []
        for skew in ladder:
            count = partial(_count_on, swept, searches * search.settings.sweeps)
            chains, _ = search.run(skews | {network: skew}, count)
            best, searches = int(chains.energy().argmin()), searches + 1
            if chains.skews(best)[network] >= AS_SKEWED * skew:
                borne_out.append((chains.separation(best), skew))
        skews[network] = max(borne_out)[1]
    return skews


def find_likeness(loader: Loader, labels: Labels = MappingProxyType({})) -> dict[str, Likeness]:
    """For each network how its inputs are compared: by given features, drawings by shape, vectors by their cosine.

    Labelled inputs stand behind the pool's.

    Raises:
        NoLikeness: a network reads pictures that come without features.
        UserError: the pool has features, and the labelled inputs have none, or others.
    """
    likenesses = {}
    for network, reading in loader.readings.items():
        features, inputs = loader.features(network), loader.pool(network)
        if network in labels:
            inputs = torch.cat([inputs, labels[network].inputs])
            features = None if features is None else torch.cat([features, _features_of(labels[network], features)])
        if features is not None:
            likenesses[network] = by_cosine(features)
        elif reading.kind == "vector":
            likenesses[network] = by_cosine(inputs)
        elif reading.is_drawing:
            likenesses[network] = by_shape(inputs)
        else:
            raise NoLikeness(
                f"Nothing says which of the pictures that {network} reads are alike, so they can't be matched: give "
                "--features, or take --recipe gedi-nesy-photographs-restarts, which does without."
            )
    return likenesses


def _features_of(few: Labelled, others: Tensor) -> Tensor:
    """The features of labelled inputs, which are matched by them as all others are, [n, D]."""
    if few.features is None or few.features.shape[1] != others.shape[1]:
        has = "none" if few.features is None else f"vectors of {few.features.shape[1]}"
        raise UserError(
            f"Inputs are matched by features, [n, {others.shape[1]}], and labelled ones have {has}: put theirs into "
            "the feature file, by names, or into an array features beside image and symbol."
        )
    return few.features.to(others)


def check_matchable(loader: Loader, settings: Matching, labels: Labels = MappingProxyType({})) -> None:
    """UserError if `match` could not compare the examples' images, and the labelled ones."""
    find_likeness(loader, labels)
    few = loader.some(settings.examples)
    for network in few.calls:
        _images_read(network, few, settings)


def _distances(network: str, few: Loader, settings: Matching, likeness: Likeness, known: Labels) -> Tensor:
    """The distance between every two calls of a network, and labelled inputs behind them, by the inputs they read."""
    pool, places = _images_read(network, few, settings).unique(return_inverse=True)
    labelled = len(known[network].symbols) if network in known else 0
    rows = torch.cat([pool, len(few.pool(network)) + torch.arange(labelled)])
    places = torch.cat([places, (len(pool) + torch.arange(labelled)).expand(len(places), -1)], 1)
    distances = likeness.distances(rows)
    between = sum(distances[slot][:, slot] for slot in places)
    assert isinstance(between, Tensor)
    return between


def _fields(pairs: Mapping[str, tuple[Tensor, Tensor]], labels: Labels) -> dict[str, Tensor]:
    """What the labelled inputs add to the pull of each symbol on each call, [calls, classes].

    Each counts as often as `label_weight` says.
    """
    fields = {}
    for network, few in labels.items():
        calls, known = pairs[network][1].shape
        fields[network] = label_weight(calls, known) * (pairs[network][1] @ few.one_hot)
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


def _judge(
    chains: Assignments, least_agreement: float, likeness: str, unguided: float, labels: Labels
) -> tuple[Matched, list[Targets]]:
    """What was found, and its rival; unguided is the energy of solutions that don't look at likeness."""
    energies = chains.energy()
    best, trusted = chains.like(energies, least_agreement)
    others = energies.masked_fill(trusted, torch.inf)
    rival, with_rival = chains.like(others, least_agreement)
    has_rival = not bool(trusted.all())
    energy, next_best = energies[best].item(), others[rival].item() if has_rival else unguided
    margin = None if len(energies) == 1 else (next_best - energy) / max(unguided - energy, 1e-6)
    named = least_told(chains, best, labels)
    found = Matched(
        energy,
        margin,
        int(trusted.sum()),
        likeness,
        chains.separation(best),
        named.lead if named else None,
        list(named.symbols) if named and named.lead < TOLD else [],
    )
    rivals = [chains.targets(with_rival & ~trusted)] if has_rival else []
    return found, [chains.targets(trusted), *rivals]
