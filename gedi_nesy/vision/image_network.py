"""K independent networks on images: encoder, projector and cluster head of each made of torch's own layers."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gedi_nesy.networks.dictionary import Dictionary
from gedi_nesy.networks.heads import CosineHead
from gedi_nesy.networks.mlp import mlp
from gedi_nesy.networks.mnist_net import FEATURES, MNIST_Net
from gedi_nesy.networks.resnet import ResNet8, resnet18
from gedi_nesy.networks.strided_net import FEATURES as STRIDED_FEATURES
from gedi_nesy.networks.strided_net import StridedNet
from gedi_nesy.vision.recipe import FeatureNetwork, Network, Speed

MOMENTUM = 0.03  # of the batch norm of features


class ImageNetwork(nn.Module):
    """f(x) = head(projector(encoder(x))) on images.

    Args:
        network: its parts.
        speed: how it computes.
        channels: of an image.
        clusters: number of logits, where the head is no dictionary.
    """

    def __init__(self, network: Network, speed: Speed, channels: int, clusters: int) -> None:
        super().__init__()
        self.speed, self.l2_norm = speed, network.l2_norm
        self.encoder, features = _new_encoder(str(network.encoder), channels)
        sizes, dim = (features, *network.projector), network.projector[-1]
        self.projector: nn.Sequential
        self.head: nn.Module
        if isinstance(network, FeatureNetwork):
            self.projector, self.head = _feature_projector(sizes), Dictionary(dim, network.atoms, seed=0)
            _slow_down_norms(self)
        else:
            self.projector = _new_projector(sizes, network.batch_norm)
            self.head = _new_head(network, dim, clusters)
        if speed.channels_last:
            self.to(memory_format=torch.channels_last)

    def encode(self, images: Tensor) -> Tensor:
        """The encoder's outputs, in the type of the images: [batch, C, H, W] -> [batch, features].

        It computes in bfloat16 in training only: D, energies and their gradients need more digits.
        """
        if self.speed.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.speed.bf16 and self.training):
            features: Tensor = self.encoder(images)
        return features.to(images.dtype)

    def project(self, features: Tensor) -> Tensor:
        """The projector's outputs: [batch, features] -> [batch, dim]."""
        embeddings: Tensor = self.projector(features)
        return F.normalize(embeddings, dim=1) if self.l2_norm else embeddings

    def forward(self, images: Tensor) -> Tensor:
        """Logits: [batch, C, H, W] -> [batch, clusters]."""
        logits: Tensor = self.head(self.project(self.encode(images)))
        return logits


class ImageNetworks(nn.Module):
    """K networks on images that never see each other; they are called like the `Networks` on points.

    Args:
        count: K.
        network: the parts of each.
        speed: how they compute.
        channels: of an image.
        clusters: number of logits.
        seed: of the initial weights.
    """

    def __init__(self, count: int, network: Network, speed: Speed, channels: int, clusters: int, seed: int) -> None:
        super().__init__()
        self.count = count
        with torch.random.fork_rng(devices=[]):  # torch's own layers draw their weights from the global generator
            torch.manual_seed(seed)
            self.networks = nn.ModuleList(ImageNetwork(network, speed, channels, clusters) for _ in range(count))

    @property
    def members(self) -> list[ImageNetwork]:
        """The networks, one by one."""
        return [one for one in self.networks if isinstance(one, ImageNetwork)]

    def speed_up(self) -> None:
        """Compile the networks with torch.compile, if the settings say so; copies stay as they are.

        The encoder of a batch is compiled by itself, since shares of a batch are joined behind it; chains go through
        all of the network at once. Shapes are static, so that a resumed run compiles the same kernels.
        """
        for one in self.members:
            if one.speed.compile != "none":
                one.encoder.compile(mode=one.speed.compile, dynamic=False)
                one.compile(mode=one.speed.compile, dynamic=False)

    def encode(self, x: Tensor) -> Tensor:
        """The encoders' outputs: [K, batch, C, H, W] -> [K, batch, features]."""
        return torch.stack([one.encode(part) for one, part in zip(self.members, x, strict=True)])

    def project(self, features: Tensor) -> Tensor:
        """The projectors' outputs: [K, batch, features] -> [K, batch, dim]."""
        return torch.stack([one.project(part) for one, part in zip(self.members, features, strict=True)])

    def classify(self, embeddings: Tensor) -> Tensor:
        """Logits: [K, batch, dim] -> [K, batch, clusters]."""
        return torch.stack([one.head(part) for one, part in zip(self.members, embeddings, strict=True)])

    def forward(self, x: Tensor) -> Tensor:
        """Logits: [K, batch, C, H, W] -> [K, batch, clusters]."""
        return torch.stack([one(part) for one, part in zip(self.members, x, strict=True)])

    @torch.no_grad()
    def set_linear_head(self, k: int, weight: Tensor, bias: Tensor) -> None:
        """Give network k the logits embeddings @ weight.T + bias, [clusters, dim] and [clusters]."""
        head = self.members[k].head
        assert isinstance(head, nn.Linear)
        head.weight.copy_(weight)
        head.bias.copy_(bias)

    @property
    def has_prototypes(self) -> bool:
        """Whether logits are cosines with prototypes, or linear."""
        return isinstance(self.members[0].head, CosineHead)

    @torch.no_grad()
    def set_prototypes(self, k: int, prototypes: Tensor) -> None:
        """Give network k's cosine head these prototypes, [clusters, dim]."""
        head = self.members[k].head
        assert isinstance(head, CosineHead)
        head.prototypes.weight.copy_(prototypes)

    def load_encoders(self, others: "ImageNetworks") -> None:
        """Take the encoders of others, as many."""
        for own, other in zip(self.members, others.members, strict=True):
            own.encoder.load_state_dict(other.encoder.state_dict())

    def pick(self, which: Sequence[int]) -> dict[str, Tensor]:
        """The state of some of the networks."""
        return {
            f"networks.{place}.{name}": tensor.clone()
            for place, k in enumerate(which)
            for name, tensor in self.members[k].state_dict().items()
        }


def _new_encoder(name: str, channels: int) -> tuple[nn.Module, int]:
    """The encoder and the number of its features."""
    if name.startswith("resnet8-"):
        features = int(name.split("-")[1])
        return ResNet8(features, channels, spectral=name.endswith("-spectral")), features
    if name == "mnist_net":
        return _without_head(MNIST_Net(images=channels)), FEATURES
    if name == "strided":
        return _without_head(StridedNet(channels=channels)), STRIDED_FEATURES
    return resnet18(channels, group_norm=name == "resnet18-groupnorm"), 512


def _without_head(network: MNIST_Net | StridedNet) -> nn.Module:
    """The network without its last layer, whose inputs become the outputs."""
    network.classifier[-1] = nn.Identity()
    return network


def _new_head(network: Network, dim: int, clusters: int) -> nn.Module:
    if network.head == "cosine":
        return CosineHead(dim, clusters, network.temperature)
    return nn.Linear(dim, clusters)


def _feature_projector(sizes: Sequence[int]) -> nn.Sequential:
    """A perceptron with batch norm after every layer; the last one has no shift, by which features could collapse."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-2], nn.BatchNorm1d(sizes[-1], affine=False))


def _slow_down_norms(network: nn.Module) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.momentum = MOMENTUM


def _new_projector(sizes: Sequence[int], batch_norm: bool) -> nn.Sequential:
    layers = mlp(sizes)
    if not batch_norm:
        return layers
    normed: list[nn.Module] = []
    for layer in layers:
        normed += [layer, nn.BatchNorm1d(layer.out_features)] if isinstance(layer, nn.Linear) else [layer]
    return nn.Sequential(*normed)
