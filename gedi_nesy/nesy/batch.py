"""What a training step sees: the images of some examples, and the candidates' predictions for them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gedi_nesy.core.augment import Warp, add_noise
from gedi_nesy.data.scale import Scale
from gedi_nesy.nesy.candidates import Candidates
from gedi_nesy.nesy.constraint import Constraint
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.recipe import Stage


@dataclass(frozen=True)
class Batch:
    """The images of B examples, grouped by the network that reads them.

    Attributes:
        images: for each network its variables' images one after the other, [variables * B, channels, height, width].
        keys: for each network its variables' keys, in that order.
        arguments: the query's arguments of the B examples.
    """

    images: dict[str, Tensor]
    keys: dict[str, list[str]]
    arguments: dict[str, list[object]]

    def view(self, stage: Stage, scale: Scale, generator: torch.Generator) -> "Batch":
        """The same examples under the stage's augmentation."""
        warp = Warp() if stage.warp else None
        images = {}
        for network, x in self.images.items():
            warped = warp(x, scale.low, generator) if warp else x
            images[network] = add_noise(warped, stage.noise, generator) if stage.noise else warped
        return Batch(images, self.keys, self.arguments)

    def by_variable(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Networks' outputs [K, variables * B, classes] -> {key: [K, B, classes]}."""
        split: dict[str, Tensor] = {}
        for network, keys in self.keys.items():
            split |= dict(zip(keys, outputs[network].chunk(len(keys), 1), strict=True))
        return split


class Loader:
    """Examples on the training device, ready to be cut into batches."""

    def __init__(self, examples: Examples, constraint: Constraint, scale: Scale, device: torch.device):
        self.examples = examples
        self.scale = scale
        self.inputs = scale.to_inputs(examples.pool.to(device))  # [images, channels, height, width]
        self.rows = {key: rows.to(device) for key, rows in examples.rows.items()}
        self.keys: dict[str, list[str]] = {}
        for variable in constraint.variables:
            self.keys.setdefault(variable.network, []).append(variable.key)

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, rows: Tensor) -> Batch:
        """The examples with these numbers, int64 [B]."""
        where = rows.to(self.inputs.device)
        images = {
            network: self.inputs[torch.cat([self.rows[key][where] for key in keys])]
            for network, keys in self.keys.items()
        }
        arguments = {name: [values[i] for i in rows.tolist()] for name, values in self.examples.arguments.items()}
        return Batch(images, self.keys, arguments)


def predict(candidates: Candidates, batch: Batch) -> dict[str, Tensor]:
    """Every network's logits on its images: {network: [K, variables * B, classes]}."""
    return {network: candidates(network, images) for network, images in batch.images.items()}


def rule_log_prob(
    constraint: Constraint, log_probs: Mapping[str, Tensor], arguments: Mapping[str, list[object]]
) -> Tensor:
    """log P(rule | images) for every candidate: {key: [K, B, classes]} -> [K, B]."""
    restarts, batch, _ = next(iter(log_probs.values())).shape
    flat = {key: values.flatten(0, 1) for key, values in log_probs.items()}
    tiled = {name: values * restarts for name, values in arguments.items()}
    return constraint.log_prob(flat, arguments=tiled).view(restarts, batch)
