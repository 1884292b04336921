"""How clearly labelled inputs say which symbol is which, where the rule can't."""

from dataclasses import dataclass

import torch

from gedi_nesy.nesy.assignments import Assignments
from gedi_nesy.nesy.labels import Labels

LABELLED = 0.2  # share of all inputs as which the labelled ones count together
# Twelve tuning draws of parity with one label a digit, all named right: the least lead was 0.27 to 0.57 in ten of them,
# 0.17 and 0.03 in two. The first run that was seen to exchange two symbols, which this is against, had 0.22.
TOLD = 0.25


@dataclass(frozen=True)
class Naming:
    """The two symbols of one network that labels tell apart the least, of those that the rule can't tell apart.

    Attributes:
        lead: how much more the inputs that were given these symbols are like their own labelled inputs than like those
            of the other symbol, in units of the affinity of two inputs, the mean over them; of m labels of a symbol
            their sum over the root of m.
        symbols: the two.
    """

    lead: float
    symbols: tuple[str, str]


def label_weight(calls: int, labels: int) -> float:
    """How often each of the labelled inputs of so many counts, beside the inputs of so many calls."""
    return max(1.0, LABELLED * calls / labels)


def least_told(chains: Assignments, chain: int, labels: Labels) -> Naming | None:
    """The least clear of the names that only labels give, in one assignment; None where the rule gives all.

    Args:
        chains: assignments of symbols; their fields come from the labels, where these take part in matching.
        chain: which one.
        labels: of each network.
    """
    found = []
    for network, few in labels.items():
        domain, shown = chains.loader.calls[network][0].domain, chains.symbols[network][:, chain]
        of_label = torch.zeros(shown.shape[1], shown.shape[1])  # [symbol given, symbol of the label]
        if network in chains.fields:
            counts = few.one_hot.sum(0).clamp_min(1)
            weight = label_weight(len(shown), len(few.symbols)) * counts.sqrt()
            of_label = shown.T @ chains.fields[network] / weight
        own, sizes = of_label.diag(), shown.sum(0)
        leads = own[:, None] + own - of_label - of_label.T
        leads = leads / (sizes[:, None] + sizes).clamp_min(1)
        pairs = chains.exchangeable(network, chain)
        found += [Naming(leads[a, b].item(), (str(domain[a]), str(domain[b]))) for a, b in pairs]
    return min(found, key=lambda naming: naming.lead, default=None)
