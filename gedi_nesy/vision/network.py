"""K independent networks side by side: encoder, projector and cluster head, each layer one batched product."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class StackedLinear(nn.Module):
    """K linear layers, each with weights of its own, initialised as torch initialises one."""

    def __init__(self, count: int, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(_uniform((count, inputs, outputs), bound, generator))
        self.bias = nn.Parameter(_uniform((count, 1, outputs), bound, generator))

    def forward(self, x: Tensor) -> Tensor:
        """[K, batch, inputs] -> [K, batch, outputs]."""
        return torch.baddbmm(self.bias, x, self.weight)


class StackedCosine(nn.Module):
    """K heads of prototypes: logits = cosine(embedding, prototype) / temperature, so that no logit can diverge."""

    def __init__(self, count: int, inputs: int, outputs: int, temperature: float, generator: torch.Generator) -> None:
        super().__init__()
        self.temperature = temperature
        self.prototypes = nn.Parameter(torch.randn(count, inputs, outputs, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """[K, batch, inputs] -> [K, batch, outputs]."""
        return F.normalize(x, dim=-1) @ F.normalize(self.prototypes, dim=1) / self.temperature


class Networks(nn.Module):
    """K networks f_k(x) = head(projector(encoder(x))) that never see each other.

    Args:
        count: K.
        inputs: columns of x.
        encoder: widths of the encoder's layers, ReLU between them.
        projector: widths of the projector's layers, ReLU between them.
        clusters: number of logits.
        head: "cosine" (see StackedCosine) or "linear".
        temperature: of the cosine head.
        seed: of the initial weights.
        l2_norm: whether the projector scales its outputs to length 1.
    """

    def __init__(
        self,
        count: int,
        inputs: int,
        encoder: Sequence[int],
        projector: Sequence[int],
        clusters: int,
        head: Literal["cosine", "linear"],
        temperature: float,
        seed: int,
        l2_norm: bool = False,
    ) -> None:
        super().__init__()
        self.count, self.l2_norm = count, l2_norm
        generator = torch.Generator().manual_seed(seed)
        self.encoder = _perceptron(count, (inputs, *encoder), generator)
        self.projector = _perceptron(count, (encoder[-1], *projector), generator)
        self.head: StackedCosine | StackedLinear
        if head == "cosine":
            self.head = StackedCosine(count, projector[-1], clusters, temperature, generator)
        else:
            self.head = StackedLinear(count, projector[-1], clusters, generator)

    def encode(self, x: Tensor) -> Tensor:
        """The encoder's outputs: [K, batch, inputs] -> [K, batch, features]."""
        features: Tensor = self.encoder(x)
        return features

    def project(self, features: Tensor) -> Tensor:
        """The projector's outputs: [K, batch, features] -> [K, batch, dim]."""
        embeddings: Tensor = self.projector(features)
        return F.normalize(embeddings, dim=-1) if self.l2_norm else embeddings

    def classify(self, embeddings: Tensor) -> Tensor:
        """Logits: [K, batch, dim] -> [K, batch, clusters]."""
        logits: Tensor = self.head(embeddings)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Logits: [K, batch, inputs] -> [K, batch, clusters]."""
        return self.classify(self.project(self.encode(x)))

    @torch.no_grad()
    def set_linear_head(self, k: int, weight: Tensor, bias: Tensor) -> None:
        """Give network k the logits embeddings @ weight.T + bias, [clusters, dim] and [clusters]."""
        assert isinstance(self.head, StackedLinear)
        self.head.weight[k], self.head.bias[k] = weight.T, bias

    @property
    def has_prototypes(self) -> bool:
        """Whether logits are cosines with prototypes, or linear."""
        return isinstance(self.head, StackedCosine)

    @torch.no_grad()
    def set_prototypes(self, k: int, prototypes: Tensor) -> None:
        """Give network k's cosine head these prototypes, [clusters, dim]."""
        assert isinstance(self.head, StackedCosine)
        self.head.prototypes[k] = prototypes.T

    def pick(self, which: Sequence[int]) -> dict[str, Tensor]:
        """The state of some of the networks."""
        return pick_networks(self.state_dict(), which)


def pick_networks(state: dict[str, Tensor], which: Sequence[int]) -> dict[str, Tensor]:
    """The state of some of K networks, from the state of all."""
    return {name: tensor[list(which)].clone() for name, tensor in state.items()}


def _perceptron(count: int, sizes: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [StackedLinear(count, inputs, outputs, generator), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)
