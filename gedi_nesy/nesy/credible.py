"""Which examples break the rule, told by what networks can't have learned by heart: views, and other inputs alike."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gedi_nesy.core.nearest import nearest_rows
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Batch, Loader
from gedi_nesy.nesy.predictions import CHUNK, of_variables, predict_batch
from gedi_nesy.nesy.recipe import Stage

VIEWS = 10  # of an example
NEIGHBOURS = 20  # of an input
LARGEST = 9000  # inputs among which neighbours are looked for: more are taken in parts, for the cost is a square
LEAST_SHARE = 1e-6  # of neighbours that show a symbol, so that none is impossible


@torch.no_grad()
def credibility(networks: nn.ModuleDict, constraint: Constraint, loader: Loader, stage: Stage) -> Tensor:
    """How credible each example is, [N], in nats: the least are those to look at.

    It is log P(rule | view), the mean over VIEWS views, and on top of it log P(rule) where each input shows what its
    NEIGHBOURS show: a network may have learned a wrong example by heart, but hardly from what the others say.

    Args:
        networks: by their names in the program; each gives `features` of its inputs.
        constraint: the rule.
        loader: the examples.
        stage: of training, which says what a view is.
    """
    batch, generator = loader.batch(torch.arange(len(loader))), torch.Generator(loader.device).manual_seed(0)
    views = [predict_batch(networks, batch.view(stage, loader.readings, generator)) for _ in range(VIEWS)]
    of_views = torch.stack([_log_prob(constraint, batch, loader, view) for view in views]).mean(0)
    shown = {name: torch.stack([view[name].exp() for view in views]).mean(0) for name in batch.images}
    beside = {name: _beside(networks[name], x, shown[name]) for name, x in batch.images.items()}
    return of_views + _log_prob(constraint, batch, loader, beside)


def _log_prob(constraint: Constraint, batch: Batch, loader: Loader, log_probs: dict[str, Tensor]) -> Tensor:
    """log P(rule) of each example by log-probabilities of each network's inputs, [N]."""
    answers = None if loader.answers is None else loader.answers[: batch.size]
    return constraint.log_prob(of_variables(batch, log_probs), answers)


def _beside(network: nn.Module, x: Tensor, shown: Tensor) -> Tensor:
    """The log of what the other inputs with the likest features show on average, [inputs, classes]."""
    features = torch.cat([network.features(part) for part in x.split(CHUNK)])  # type: ignore[operator]
    directions, blocks = F.normalize(features - features.mean(0), dim=1), -(-len(x) // LARGEST)
    found = []
    for part, own in zip(directions.tensor_split(blocks), shown.tensor_split(blocks), strict=True):
        rows = nearest_rows(part, min(NEIGHBOURS + 1, len(part)))
        others = rows[:, 1:] if len(part) > 1 else rows  # the nearest is the input itself
        found.append(own[others].mean(1))
    return torch.cat(found).clamp_min(LEAST_SHARE).log()
