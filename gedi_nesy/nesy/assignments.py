"""Symbols of all inputs at once, many assignments side by side: annealed Gibbs sampling over the rule's solutions."""

import warnings
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Key
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.losses import Targets

ROUNDING = 1e-4  # of a mean probability
BLOCKS = 20  # a sweep redraws the examples in this many blocks, the examples of one side by side
HOT, COLD = 0.3, 0.006  # first and last temperature, in the pull of all other images on one


class Assignments:
    """R joint assignments of symbols to all images, each satisfying the rule in every example."""

    def __init__(
        self,
        constraint: Constraint,
        loader: Loader,
        affinities: Mapping[str, Tensor],
        chains: int,
        generator: torch.Generator,
        fields: Mapping[str, Tensor],
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

    def like(self, energies: Tensor, least: float) -> tuple[int, Tensor]:
        """The assignment of the least of these energies, and which ones agree with it on this share of inputs, [R]."""
        best = int(energies.argmin())
        symbols = torch.cat([one_hot.argmax(-1) for one_hot in self.symbols.values()])  # [calls * examples, R]
        return best, (symbols == symbols[:, best : best + 1]).float().mean(0) >= least

    def skews(self, chain: int) -> dict[str, float]:
        """How many times more pairs of a network's inputs share a symbol than if all symbols were as common; >= 1."""
        shares = {network: symbols[:, chain].mean(0) for network, symbols in self.symbols.items()}
        return {network: len(own) * own.square().sum().item() for network, own in shares.items()}

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

    def exchangeable(self, network: str, chain: int) -> list[tuple[int, int]]:
        """The pairs of a network's symbols that can change places in an assignment without a loss to the rule."""
        n = len(self.loader)
        given = {call.key: self.symbols[net][k * n : (k + 1) * n, chain].argmax(1) for net, k, call in self._calls()}
        own, before = {call.key for call in self.loader.calls[network]}, self._satisfied(given)
        pairs = []
        for a, b in combinations(range(self.symbols[network].shape[2]), 2):
            places = torch.arange(self.symbols[network].shape[2])
            places[[a, b]] = places[[b, a]]
            exchanged = {key: places[values] if key in own else values for key, values in given.items()}
            if self._satisfied(exchanged) >= before - ROUNDING:
                pairs.append((a, b))
        return pairs

    def targets(self, trusted: Tensor) -> Targets:
        """For each variable the share of the trusted chains that give it each symbol, [examples, classes]."""
        n = len(self.loader)
        return {
            call.key: self.symbols[network][k * n : (k + 1) * n, trusted].mean(1) for network, k, call in self._calls()
        }

    def _calls(self) -> list[tuple[str, int, Any]]:
        """The network, its number among the network's calls, and the call, for each variable of the rule."""
        return [(network, k, call) for network, calls in self.loader.calls.items() for k, call in enumerate(calls)]
