"""What a trained run's networks say of the images of a batch."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gedi_nesy.logic.ground import Key
from gedi_nesy.nesy.batch import Batch

CHUNK = 250  # inputs at a time, so few that their memory stays in the cache


@torch.no_grad()
def predict_log_probs(net: nn.Module, inputs: Tensor) -> Tensor:
    """log p(y|x) of network inputs [batch, ...] -> [batch, classes]."""
    return torch.cat([net(chunk).log_softmax(-1) for chunk in inputs.split(CHUNK)])


def predict_batch(networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
    """log p(y|x) of each network's inputs, [inputs, classes]."""
    return {name: predict_log_probs(networks[name], x) for name, x in batch.images.items()}


def of_variables(batch: Batch, log_probs: Mapping[str, Tensor]) -> dict[Key, Tensor]:
    """What `predict_batch` gives, of each variable, [B, classes]."""
    by_variable = batch.by_variable({name: values[None] for name, values in log_probs.items()})
    return {key: values[0] for key, values in by_variable.items()}
