"""The networks of a rule, several restarts of them side by side, each with the probabilities it gives the rule."""

import copy
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.ground import Variable
from gedi_nesy.nesy.queries import Queries, Rule, parts_of
from gedi_nesy.networks.mlp import mlp
from gedi_nesy.networks.mnist_net import FEATURES, PrototypeNet
from gedi_nesy.networks.own import Network, network_factory


class Shape(NamedTuple):
    """How many symbols a network tells apart, how many images it reads at once, and the shape of one image."""

    classes: int
    images: int = 1
    image: tuple[int, ...] = (1, 28, 28)

    @property
    def input(self) -> tuple[int, ...]:
        """The shape of all that it reads at once: (images * C, H, W) or (images * D,)."""
        return (self.images * self.image[0], *self.image[1:])


class Build(NamedTuple):
    """How a rule's networks are built.

    Attributes:
        network: by its name.
        head: how MNIST_Net's last layer makes logits, "linear" or "cosine".
        dropout: before StridedNet's linear layers.
        others: the rule's networks that differ from `network`.
        trust: allow the files of a user's networks to be executed.
    """

    network: str = "mnist_net"
    head: str = "linear"
    dropout: float = 0.0
    others: Mapping[str, Network] = MappingProxyType({})
    trust: bool = False


PUBLISHED = Build()


class Candidates(nn.Module):
    """K independent copies of every network that a rule calls; they see the same images and never each other.

    Where the rule has probabilities to learn, `t(...)`, each restart learns its own: a restart trapped in wrong symbols
    must not mislead the others.

    Args:
        shapes: of each network, by its name in the program.
        restarts: K.
        seed: of the initial weights.
        build: how they are built.
        dim: of the embeddings, the outputs of a projector of features that each network has where a term needs them;
            None: no projector.
        rule: the rule; without it no probabilities are learned.
    """

    def __init__(
        self,
        shapes: Mapping[str, Shape],
        restarts: int,
        seed: int,
        build: Build = PUBLISHED,
        dim: int | None = None,
        rule: Rule | None = None,
    ):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.nets = nn.ModuleList(build_networks(shapes, build) for _ in range(restarts))
            self.projectors = nn.ModuleList(build_projectors(shapes, dim) for _ in range(restarts) if dim)
        learns = rule is not None and any(True for _ in rule.parameters())
        self.own_rules = nn.ModuleList(copy.deepcopy(rule) for _ in range(restarts) if rule and learns)

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

    def rules(self, shared: Rule) -> Sequence[Rule]:
        """Each restart's rule; one for all, `shared`, where the rule has nothing to learn."""
        rules = [rule for rule in self.own_rules if isinstance(rule, Constraint | Queries)]
        return rules or [shared]

    def networks(self, k: int) -> nn.ModuleDict:
        """The k-th restart's networks, by their names in the program."""
        networks = self.nets[k]
        assert isinstance(networks, nn.ModuleDict)
        return networks

    def forward(self, network: str, images: Tensor) -> Tensor:
        """The logits of every restart: [batch, ...] -> [K, batch, classes]."""
        return torch.stack([self.networks(k)[network](images) for k in range(len(self))])

    def features(self, network: str, images: Tensor) -> Tensor:
        """What every restart's last layer reads: [batch, ...] -> [K, batch, features]."""
        nets = [self.networks(k)[network] for k in range(len(self))]
        return torch.stack([net.features(images) for net in nets])  # type: ignore[operator]

    def project(self, network: str, features: Tensor) -> Tensor:
        """Every restart's embeddings of its features: [K, batch, features] -> [K, batch, dim]."""
        projectors = [each[network] for each in self.projectors if isinstance(each, nn.ModuleDict)]
        return torch.stack([project(own) for project, own in zip(projectors, features, strict=True)])


def build_networks(shapes: Mapping[str, Shape], build: Build) -> nn.ModuleDict:
    """One untrained network for each of a rule's networks, by its name in the program."""
    return nn.ModuleDict({name: _build(name, shape, build) for name, shape in shapes.items()})


def _build(name: str, shape: Shape, build: Build) -> nn.Module:
    network = build.others.get(name, build.network)
    if network == "mnist_net" and build.head == "cosine":
        return PrototypeNet(shape.classes, shape.input[0])
    return network_factory(network, trust=build.trust, dropout=build.dropout)(shape.input, shape.classes)


def build_projectors(shapes: Mapping[str, Shape], dim: int) -> nn.ModuleDict:
    """For each of a rule's networks a projector 84-168-dim with batch normalisation, as the paper has it (App. M)."""
    inner = 2 * FEATURES

    def activation() -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(inner, track_running_stats=False), nn.ReLU())

    return nn.ModuleDict({name: mlp((FEATURES, inner, dim), activation) for name in shapes})


def network_shapes(rule: Rule, images: Mapping[str, tuple[int, ...]]) -> dict[str, Shape]:
    """The shape that each network of the rule must have.

    Args:
        rule: one query, or several.
        images: for each network the shape of one of its images, (C, H, W) or (D,); where left out, (1, 28, 28).

    Raises:
        UserError: if the networks can't be built for this rule.
    """
    if not all(part.variables for part in parts_of(rule)):
        raise UserError("The rule looks at no image, so there is nothing to train.")
    names = {image for part in parts_of(rule) for image in part.query.images}
    first: dict[str, Variable] = {}
    for call in rule.variables:
        if not str(call.network).isidentifier() or hasattr(nn.ModuleDict(), call.network):
            raise UserError(f"Training can't have a network called {call.network}; give it another name, as digits.")
        symbols = [value for value in call.inputs if value not in names]
        if symbols:
            raise UserError(f"The rule calls {call.network} on {symbols[0]}, which is no image; training needs images.")
        other = first.setdefault(call.network, call)
        if (len(call.inputs), call.domain) != (len(other.inputs), other.domain):
            raise UserError(
                f"The rule calls {call.network} with different numbers of images or different symbols; give each form "
                "a network of its own."
            )
    return {
        name: Shape(len(call.domain), len(call.inputs), tuple(images.get(name, (1, 28, 28))))
        for name, call in first.items()
    }
