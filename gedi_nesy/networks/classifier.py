"""A network as an encoder and its last linear layer, so that features, the last layer's input, are at hand."""

import torch
from torch import Tensor, nn

TOLERANCE = 1e-4  # share of the logits' size that rounding may cost


class Classifier(nn.Module):
    """Logits as a linear layer on an encoder's features.

    Args:
        encoder: [batch, ...] -> [batch, features].
        head: [batch, features] -> [batch, classes].
    """

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, x: Tensor) -> Tensor:
        """Logits, [batch, classes]."""
        logits: Tensor = self.head(self.features(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """The input of the last layer, [batch, features]."""
        features: Tensor = self.encoder(x)
        return features


@torch.no_grad()
def split_last_layer(network: nn.Module, x: Tensor) -> Classifier | None:
    """Take a network's last linear layer off, as torchvision's `fc` or timm's `head`.

    The last `nn.Linear` among the modules, in the order of their assignment, is the last layer if it makes the same
    logits of what the rest of the network gives without it. No hook is needed then: the rest is the encoder.

    Args:
        network: shares its layers with the result, if there is one, and must not be used any more then.
        x: inputs on which the two are compared, in eval mode.

    Returns:
        The network in two parts, or None where it can't be taken apart so; it is left as it was then.
    """
    linear = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not linear or linear[-1][1] is network:
        return None
    name, head = linear[-1]
    logits = network.eval()(x)
    network.set_submodule(name, nn.Identity())
    parts = Classifier(network, head)
    if not _same_logits(parts, x, logits):
        network.set_submodule(name, head)
        return None
    parts.train()
    return parts


def _same_logits(parts: Classifier, x: Tensor, logits: Tensor) -> bool:
    try:
        features = parts.features(x)
    except RuntimeError:  # what came after the layer misses its width
        return False
    if features.dim() != 2 or features.shape[1] != parts.head.in_features:
        return False
    return bool((parts.head(features) - logits).abs().max() <= TOLERANCE * (1 + logits.abs().max()))
