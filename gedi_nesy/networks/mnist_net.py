"""MNIST_Net, the digit network of DeepProbLog, with a fast path for gradients of its energy."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gedi_nesy.networks.conv_pool import LayerWithPullback, Pullback, conv_pool_relu, conv_pool_relu_with_pullback
from gedi_nesy.networks.heads import CosineHead
from gedi_nesy.networks.mlp import mlp

FEATURES = 84  # of MNIST_Net, before its last layer
AT_ONCE = 60  # images, so few that their memory stays in the cache


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
        """The input of the last layer, shape [batch, 84 * width], for images as in `forward`."""
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
        """x -> d logsumexp f(x) / dx without autograd, in the shape of x; for the CPU, where it is faster."""
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


def _with_pullback(layer: nn.Module) -> LayerWithPullback:
    """The layer, with its present weights, as a function that also gives the pullback of gradients."""
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
