"""Networks of a rule by their names, for inputs of any shape.

A name stands for a factory: `factory(input_shape, classes) -> nn.Module`, where `input_shape` is (C, H, W) of pictures
or (D,) of vectors. Each of these networks gives logits, `net(x)`, [batch, classes], and `net.features(x)`,
[batch, features], the input of its last layer.
"""

import math
import re
from collections.abc import Callable
from functools import partial

from torch import nn

from gedi_nesy.errors import UserError, did_you_mean
from gedi_nesy.networks import strided_net
from gedi_nesy.networks.classifier import Classifier
from gedi_nesy.networks.mlp import mlp
from gedi_nesy.networks.mnist_net import MNIST_Net
from gedi_nesy.networks.resnet import ResNet8, resnet18
from gedi_nesy.networks.strided_net import StridedNet

Shape = tuple[int, ...]
Factory = Callable[[Shape, int], nn.Module]

NAMES = ("mnist_net", "strided", "resnet8-F", "resnet18", "resnet18-groupnorm", "mlp-A-B-...")
SHOWN = "mnist_net, strided, resnet8-32, resnet18, mlp-256, mlp-512-256"
DIGITS = (28, 28)  # height and width that MNIST_Net reads
LEAST_SIDE = 4  # pixels, because resnet8 pools twice
LARGEST_DRAWING = 64  # pixels: StridedNet's first linear layer grows with a drawing's area
INPUT_DROPOUT, DROPOUT = 0.2, 0.3  # of an MLP: on its inputs, and before each further layer


def choose_network(shape: Shape, drawings: bool = False) -> str:
    """The network for a kind of input where none is named.

    Args:
        shape: (C, H, W) of pictures or (D,) of vectors.
        drawings: whether pictures are drawings on a ground of one colour.
    """
    if len(shape) == 1:
        return "mlp-256"
    if shape == (1, *DIGITS):
        return "mnist_net"
    small = min(shape[1:]) >= strided_net.LEAST_SIDE and max(shape[1:]) <= LARGEST_DRAWING
    return "strided" if drawings and small else "resnet8-32"


def named_factory(name: str, dropout: float = 0.0) -> Factory:
    """The factory that a name stands for.

    Args:
        name: one of `NAMES`, with numbers for its capitals.
        dropout: before StridedNet's linear layers; the others have none, or their own.

    Raises:
        UserError: there is no such network.
    """
    if name == "mnist_net":
        return _mnist_net
    if name == "strided":
        return partial(_strided, dropout=dropout)
    if name in ("resnet18", "resnet18-groupnorm"):
        return partial(_resnet18, name == "resnet18-groupnorm")
    if match := re.fullmatch(r"resnet8-([1-9]\d*)", name):
        return partial(_resnet8, int(match[1]))
    if re.fullmatch(r"mlp(-[1-9]\d*)+", name):
        return partial(_mlp, tuple(int(size) for size in name.split("-")[1:]))
    hint = did_you_mean(name, SHOWN.split(", "))
    raise UserError(f"There is no network {name!r}{hint}; take {', '.join(NAMES)}, or your own as file.py:factory.")


def _mnist_net(shape: Shape, classes: int) -> nn.Module:
    _refuse_unless(shape[1:] == DIGITS, "mnist_net", "pictures of 28x28 pixels", shape)
    return MNIST_Net(classes, shape[0])


def _strided(shape: Shape, classes: int, dropout: float) -> nn.Module:
    least = strided_net.LEAST_SIDE
    fits = len(shape) == 3 and min(shape[1:]) >= least
    _refuse_unless(fits, "strided", f"pictures of {least}x{least} pixels or more", shape)
    channels, height, width = shape
    return StridedNet(classes, channels, dropout=dropout, size=(height, width))


def _resnet8(features: int, shape: Shape, classes: int) -> nn.Module:
    fits = len(shape) == 3 and min(shape[1:]) >= LEAST_SIDE
    _refuse_unless(fits, f"resnet8-{features}", "pictures of 4x4 pixels or more", shape)
    encoder = nn.Sequential(ResNet8(features, shape[0]), nn.LeakyReLU(0.2))
    return Classifier(encoder, nn.Linear(features, classes))


def _resnet18(group_norm: bool, shape: Shape, classes: int) -> nn.Module:
    _refuse_unless(len(shape) == 3, "resnet18", "pictures", shape)
    return Classifier(resnet18(shape[0], group_norm), nn.Linear(512, classes))


def _mlp(hidden: tuple[int, ...], shape: Shape, classes: int) -> nn.Module:
    """On vectors or on the pixels of pictures."""
    layers: list[nn.Module] = [nn.Flatten(), nn.Dropout(INPUT_DROPOUT)]
    for layer in mlp((math.prod(shape), *hidden)):
        layers += [layer] if isinstance(layer, nn.Linear) else [layer, nn.Dropout(DROPOUT)]
    encoder = nn.Sequential(*layers, nn.ReLU(), nn.Dropout(DROPOUT))
    return Classifier(encoder, nn.Linear(hidden[-1], classes))


def _refuse_unless(fits: bool, name: str, reads: str, shape: Shape) -> None:
    if not fits:
        kind = f"vectors of {shape[0]} numbers" if len(shape) == 1 else f"of shape {'x'.join(map(str, shape))}"
        raise UserError(f"{name} reads {reads}, and these are {kind}; take {choose_network(shape)}.")
