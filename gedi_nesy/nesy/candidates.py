"""The networks of a rule, several restarts of them side by side."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gedi_nesy.errors import UserError
from gedi_nesy.nesy.constraint import Constraint
from gedi_nesy.networks import MNIST_Net


class Candidates(nn.Module):
    """K independent copies of every network that a rule calls; they see the same images and never each other.

    Args:
        classes: the number of outputs of each network, by its name in the program.
        restarts: K.
        seed: of the initial weights.
    """

    def __init__(self, classes: Mapping[str, int], restarts: int, seed: int):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.nets = nn.ModuleList(build_networks(classes) for _ in range(restarts))

    def __len__(self) -> int:
        return len(self.nets)

    def redraw_heads(self, seed: int) -> None:
        """Draw the last layer of every network afresh and keep the rest: features stay, the names of symbols go."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for k in range(len(self)):
                for network in self.networks(k).values():
                    *_, head = (layer for layer in network.modules() if isinstance(layer, nn.Linear))
                    head.reset_parameters()

    def networks(self, k: int) -> nn.ModuleDict:
        """The k-th candidate's networks, by their names in the program."""
        networks = self.nets[k]
        assert isinstance(networks, nn.ModuleDict)
        return networks

    def forward(self, network: str, images: Tensor) -> Tensor:
        """The logits of every candidate: [batch, channels, height, width] -> [K, batch, classes]."""
        return torch.stack([self.networks(k)[network](images) for k in range(len(self))])


def build_networks(classes: Mapping[str, int]) -> nn.ModuleDict:
    """One untrained network for each of a rule's networks, by its name in the program."""
    return nn.ModuleDict({name: MNIST_Net(outputs) for name, outputs in classes.items()})


def network_classes(constraint: Constraint, image_shape: torch.Size) -> dict[str, int]:
    """The number of outputs that each network of the rule must have.

    Args:
        constraint: the rule.
        image_shape: [channels, height, width] of the images it will see.

    Raises:
        UserError: if the networks can't be built for this rule or these images.
    """
    if tuple(image_shape) != (1, 28, 28):
        raise UserError(
            f"MNIST_Net takes grey images of 28x28 pixels, these are {'x'.join(map(str, image_shape))}; resize them."
        )
    if next(constraint.parameters(), None) is not None:
        raise UserError(
            "The program has learnable probabilities t(...), which `train` would leave as they are; give them values, "
            "or train them in a loop of your own, where Constraint.parameters() has them."
        )
    for variable in constraint.variables:
        if len(variable.inputs) != 1:
            raise UserError(
                f"The rule calls {variable.network} on {len(variable.inputs)} inputs; training needs one image a call."
            )
        if not isinstance(variable.key, str):
            raise UserError(f"The rule shows image {variable.inputs[0]} to two networks; training needs one an image.")
    if not constraint.variables:
        raise UserError("The rule looks at no image, so there is nothing to train.")
    return {variable.network: len(variable.domain) for variable in constraint.variables}
