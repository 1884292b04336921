"""The networks of both tracks: MNIST_Net, the 8-layer ResNet, ResNet-18, multi-layer perceptrons."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gedi_nesy.conv_pool import LayerWithPullback, Pullback, conv_pool_relu, conv_pool_relu_with_pullback

FEATURES = 84  # of MNIST_Net, before its last layer
AT_ONCE = 60  # images; what the memory of so many holds stays in the cache
TEMPERATURE = 0.1  # SwAV's, of p(y|x) = softmax(cosine / temperature)


class MNIST_Net(nn.Module):
    """The digit network of Manhaeve et al. 2018 (DeepProbLog), up to its softmax: 28 x 28 images to logits.

    conv 6@5, maxpool 2, relu, conv 16@5, maxpool 2, relu, then 256-120-84-classes with relu between. The state_dict has
    DeepProbLog's names and shapes. On CPU `conv_pool_relu` computes the encoder, differentiable once.

    Args:
        classes: number of logits.
        images: how many images it reads at once, as the channels of one.
        width: factor of all sizes between input and logits; 1 is the published network.
    """

    def __init__(self, classes: int = 10, images: int = 1, width: int = 1) -> None:
        super().__init__()
        self.images = images
        first, second = nn.Conv2d(images, 6 * width, 5), nn.Conv2d(6 * width, 16 * width, 5)
        self.encoder = nn.Sequential(first, nn.MaxPool2d(2), nn.ReLU(), second, nn.MaxPool2d(2), nn.ReLU())
        self.classifier = mlp((16 * width * 4 * 4, 120 * width, FEATURES * width, classes), nn.ReLU)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape [batch, classes], of shape [batch, images, 28, 28]; ValueError for another shape."""
        logits: Tensor = self.classifier[-1](self.features(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees, shape [batch, 84 * width], of images as in `forward`."""
        if images.shape[1:] != (self.images, 28, 28):
            raise ValueError(
                f"MNIST_Net reads images of shape [batch, {self.images}, 28, 28], not {list(images.shape)}."
            )
        *hidden_layers, _ = self.classifier
        hidden = images
        for layer in self.encoder:
            if isinstance(layer, nn.Conv2d):
                assert layer.bias is not None
                hidden = conv_pool_relu(hidden, layer.weight, layer.bias)
        hidden = hidden.flatten(1)
        for layer in hidden_layers:
            hidden = layer(hidden)
        return hidden

    @torch.no_grad()
    def gradient_of_log_density(self) -> Callable[[Tensor], Tensor]:
        """x -> d logsumexp f(x) / dx without autograd, in the shape of x; for the CPU, where it is quicker."""
        layers = [_with_pullback(layer) for layer in self.encoder if isinstance(layer, nn.Conv2d)]
        layers += [_flatten_with_pullback, *(_with_pullback(layer) for layer in self.classifier[:-1])]

        @torch.no_grad()
        def gradient_of_some(images: Tensor) -> Tensor:
            hidden, pull_backs = images, []
            for layer in layers:
                hidden, pull_back = layer(hidden)
                pull_backs.append(pull_back)
            gradient = self._gradient_of_features(hidden)
            for pull_back in reversed(pull_backs):
                gradient = pull_back(gradient)
            return gradient

        return lambda images: torch.cat([gradient_of_some(some) for some in images.split(AT_ONCE)])

    def _gradient_of_features(self, features: Tensor) -> Tensor:
        """d logsumexp f / d features, [batch, features], through the last layer."""
        head = self.classifier[-1]
        assert isinstance(head, nn.Linear)
        return head(features).softmax(-1) @ head.weight

    def as_sequential(self) -> nn.Sequential:
        """The same network, sharing its weights, as a stack of torch's own layers."""
        return nn.Sequential(*self.encoder, nn.Flatten(), *self.classifier)


class StridedNet(nn.Module):
    """A smooth network for 28 x 28 images, whose energy has a slope everywhere: images to logits.

    conv 12@6 stride 2, SiLU, conv 24@6 stride 2, SiLU, then 384-96-classes with SiLU between. Max pooling and ReLU pass
    a gradient to few pixels of an image; strides and SiLU to all, so that chains reach more of what the data hold.

    Args:
        classes: number of logits.
        images: how many images it reads at once, as the channels of one.
        width: factor of all sizes between input and logits.
        dropout: before both linear layers, in training.
    """

    def __init__(self, classes: int = 10, images: int = 1, width: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.images = images
        first, second = nn.Conv2d(images, 12 * width, 6, stride=2), nn.Conv2d(12 * width, 24 * width, 6, stride=2)
        self.encoder = nn.Sequential(first, nn.SiLU(), second, nn.SiLU())
        hidden, logits = nn.Linear(24 * width * 4 * 4, 96 * width), nn.Linear(96 * width, classes)
        self.classifier = nn.Sequential(nn.Dropout(dropout), hidden, nn.SiLU(), nn.Dropout(dropout), logits)
        self.to(memory_format=torch.channels_last)  # quicker on CPU

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape [batch, classes], of shape [batch, images, 28, 28]; ValueError for another shape."""
        if images.shape[1:] != (self.images, 28, 28):
            raise ValueError(
                f"StridedNet reads images of shape [batch, {self.images}, 28, 28], not {list(images.shape)}."
            )
        logits: Tensor = self.classifier(self.encoder(images).flatten(1))
        return logits

    def as_sequential(self) -> nn.Sequential:
        """The same network in eval mode, sharing its weights, as a stack of torch's own layers."""
        layers = [layer for layer in self.classifier if not isinstance(layer, nn.Dropout)]
        return nn.Sequential(*self.encoder, nn.Flatten(), *layers)


class CosineHead(nn.Module):
    """Clusters as directions: logits = cosine(features, prototype) / temperature, as SwAV has them (Caron et al. 2020).

    Args:
        features: size of the vectors it reads.
        classes: number of prototypes.
        temperature: bounds the logits, to 1 / temperature either side of 0.
    """

    def __init__(self, features: int, classes: int, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.temperature = temperature
        self.prototypes = nn.Linear(features, classes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Logits, [batch, classes], of features, [batch, features]."""
        directions = F.normalize(self.prototypes.weight, dim=1)
        return F.linear(F.normalize(features, dim=1), directions) / self.temperature


class PrototypeNet(MNIST_Net):
    """MNIST_Net whose classes are prototypes: a CosineHead on its features, before their ReLU, as in SwAV."""

    def __init__(self, classes: int = 10, images: int = 1, width: int = 1) -> None:
        super().__init__(classes, images, width)
        self.classifier = nn.Sequential(*self.classifier[:-2], CosineHead(FEATURES * width, classes))

    @torch.enable_grad()
    def _gradient_of_features(self, features: Tensor) -> Tensor:
        features = features.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.classifier[-1](features).logsumexp(-1).sum(), features)
        return gradient


class ResNet8(nn.Module):
    """The 8-layer residual network of the paper's App. M: LeakyReLU of slope .2, no normalisation, average pooling.

    The paper's table names the skip connection of the first block only; here, as in a ResNet, every block has one.
    """

    def __init__(self, features: int = 128, channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(channels, features), _activation(), _conv(features, features))
        self.stem_skip = nn.Conv2d(channels, features, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(_activation(), _conv(features, features), _activation(), _conv(features, features))
            for _ in range(3)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Features, shape [batch, features], of images of shape [batch, channels, height, width], sides >= 4."""
        hidden = F.avg_pool2d(self.stem(images), 2) + self.stem_skip(F.avg_pool2d(images, 2))
        first, *others = self.blocks
        hidden = F.avg_pool2d(hidden + first(hidden), 2)
        for block in others:
            hidden = hidden + block(hidden)
        return hidden.mean((2, 3))


def resnet18(channels: int = 3, group_norm: bool = False) -> nn.Module:
    """torchvision's ResNet-18 up to its 512 features, with the stem for small images: a 3 x 3 convolution, no pool.

    Args:
        channels: of the images, [batch, channels, height, width].
        group_norm: groups of 8 channels are normalised in each image, instead of each channel over the batch.
    """
    from torchvision import models  # slow to import

    net: nn.Module = models.resnet18(norm_layer=_group_norm if group_norm else None)
    net.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision does the others
    net.maxpool, net.fc = nn.Identity(), nn.Identity()
    return net


def mlp(sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers from sizes[0] inputs to sizes[-1] outputs, with an activation between but not after them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def _with_pullback(layer: nn.Module) -> LayerWithPullback:
    """The layer as a function that also gives the way back for gradients, of its weights as they are now."""
    if isinstance(layer, nn.Conv2d):
        assert layer.bias is not None
        return conv_pool_relu_with_pullback(layer.weight, layer.bias)
    if isinstance(layer, nn.Linear):
        weight, bias = layer.weight.detach(), layer.bias.detach()
        return lambda x: (torch.addmm(bias, x, weight.T), lambda gradient: gradient @ weight)
    return _relu_with_pullback


def _relu_with_pullback(x: Tensor) -> tuple[Tensor, Pullback]:
    y = x.relu_()
    return y, lambda gradient: torch.ops.aten.threshold_backward(gradient, y, 0)


def _flatten_with_pullback(x: Tensor) -> tuple[Tensor, Pullback]:
    return x.flatten(1), lambda gradient: gradient.view(x.shape)


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(channels // 8, channels)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _activation() -> nn.Module:
    return nn.LeakyReLU(0.2)
