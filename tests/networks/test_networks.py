"""MNIST_Net and its fused operation against torch's own layers; ResNet and MLP by their sizes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from gedi_nesy.core.sgld import SGLD
from gedi_nesy.networks.conv_pool import conv_pool_relu
from gedi_nesy.networks.mlp import mlp
from gedi_nesy.networks.mnist_net import MNIST_Net, PrototypeNet
from gedi_nesy.networks.resnet import ResNet8
from gedi_nesy.networks.strided_net import StridedNet


def flat_digits(n: int) -> Tensor:
    """Strokes on a background of exactly -1, as MNIST has: most windows of the first pool are equal."""
    images = torch.full((n, 1, 28, 28), -1.0)
    images[:, :, 8:20, 11:17] = torch.rand(n, 1, 12, 6) * 2 - 1
    return images


def unfused(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.relu(F.max_pool2d(F.conv2d(images, weight, bias), 2))


def test_a_pool_of_four_by_hand() -> None:
    image = torch.tensor([[1.0, 5.0], [3.0, 2.0]]).view(1, 1, 2, 2).requires_grad_()
    out = conv_pool_relu(image, torch.tensor([[[[2.0]]]]), torch.tensor([-1.0]))
    assert out.item() == 2 * 5 - 1
    out.backward()
    assert image.grad is not None
    assert image.grad.flatten().tolist() == [0.0, 2.0, 0.0, 0.0]


@pytest.mark.parametrize("winner", range(4))
def test_of_equal_windows_the_first_takes_the_gradient(winner: int) -> None:
    pixels = torch.tensor([0.0] * winner + [1.0] * (4 - winner)).view(1, 1, 2, 2).requires_grad_()
    conv_pool_relu(pixels, torch.ones(1, 1, 1, 1), torch.zeros(1)).backward()
    assert pixels.grad is not None
    assert pixels.grad.flatten().tolist() == [float(i == winner) for i in range(4)]


@settings(max_examples=30, deadline=None)
@given(
    k=st.integers(1, 5),
    height=st.integers(6, 11),
    width=st.integers(6, 11),
    channels=st.integers(1, 3),
    batch=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_every_shape_agrees_with_torch(k: int, height: int, width: int, channels: int, batch: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = (batch, channels, height, width), (2, channels, k, k), (2,)
    inputs = [torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in shapes]
    expected, out = unfused(*inputs), conv_pool_relu(*inputs)
    torch.testing.assert_close(out, expected)
    upstream = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad(out, inputs, upstream), torch.autograd.grad(expected, inputs, upstream)
    )


def test_a_second_derivative_is_an_error_and_not_wrong() -> None:
    images, weight = torch.randn(1, 1, 4, 4, requires_grad=True), torch.randn(1, 1, 3, 3)
    pooled = conv_pool_relu(images, weight, torch.ones(1)).sum()
    with pytest.raises(RuntimeError, match="differentiable once"):
        torch.autograd.grad(pooled, images, create_graph=True)


def test_layout_of_the_input_does_not_matter() -> None:
    weight, bias = torch.randn(2, 3, 3, 3), torch.randn(2)
    images = torch.randn(8, 8, 4, 3).permute(2, 3, 0, 1)  # [4, 3, 8, 8] with strides of its own
    torch.testing.assert_close(conv_pool_relu(images, weight, bias), unfused(images, weight, bias))


@pytest.mark.parametrize("seed", range(5))
def test_mnist_net_equals_plain_layers_on_flat_backgrounds(seed: int) -> None:
    torch.manual_seed(seed)
    net, images = MNIST_Net(), flat_digits(20).requires_grad_()
    assert (images == -1).float().mean() > 0.9
    wanted = [images, *net.parameters()]
    upstream = torch.randn(20, 10)
    for ours, theirs in zip(
        torch.autograd.grad(net(images), wanted, upstream),
        torch.autograd.grad(net.as_sequential()(images), wanted, upstream),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_mnist_net_has_the_names_of_deepproblogs_network() -> None:
    shapes = {name: tuple(value.shape) for name, value in MNIST_Net(classes=7).state_dict().items()}
    assert shapes == {
        "encoder.0.weight": (6, 1, 5, 5),
        "encoder.0.bias": (6,),
        "encoder.3.weight": (16, 6, 5, 5),
        "encoder.3.bias": (16,),
        "classifier.0.weight": (120, 256),
        "classifier.0.bias": (120,),
        "classifier.2.weight": (84, 120),
        "classifier.2.bias": (84,),
        "classifier.4.weight": (7, 84),
        "classifier.4.bias": (7,),
    }


@pytest.mark.parametrize("net", [MNIST_Net(), MNIST_Net(images=2, width=2), PrototypeNet()])
def test_the_gradient_by_hand_is_that_of_autograd(net: MNIST_Net) -> None:
    images = flat_digits(7).repeat(1, net.images, 1, 1).requires_grad_()
    (expected,) = torch.autograd.grad(net(images).logsumexp(1).sum(), images)
    torch.testing.assert_close(net.gradient_of_log_density()(images.detach()), expected)


def test_a_wider_network_has_more_of_everything_but_inputs_and_logits() -> None:
    shapes = {name: tuple(value.shape) for name, value in MNIST_Net(width=3).state_dict().items()}
    assert shapes["encoder.0.weight"] == (18, 1, 5, 5)
    assert shapes["encoder.3.weight"] == (48, 18, 5, 5)
    assert shapes["classifier.0.weight"] == (360, 768)
    assert shapes["classifier.4.weight"] == (10, 252)


def test_mnist_net_names_a_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"\[batch, 1, 28, 28\], not \[2, 3, 32, 32\]"):
        MNIST_Net()(torch.zeros(2, 3, 32, 32))


def test_resnet_has_eight_layers_and_the_papers_size() -> None:
    net = ResNet8(features=128)
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)]
    assert len(convs) == 8
    # 3 -> 128 and seven 128 -> 128 of 3 x 3, the skip's 1 x 1; a bias for each.
    assert sum(p.numel() for p in net.parameters()) == (27 + 1) * 128 + 7 * (9 * 128 + 1) * 128 + (3 + 1) * 128


def test_resnet_is_its_skips_where_the_blocks_are_silent() -> None:
    net = ResNet8(features=2, channels=3)
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    net.stem_skip.weight.data[:, 0] = torch.tensor([1.0, 2.0]).view(2, 1, 1)  # reads the first channel
    images = torch.randn(5, 3, 8, 8)
    means = images[:, 0].mean((1, 2))
    torch.testing.assert_close(net(images), torch.stack([means, 2 * means], 1))


def test_mlp_by_hand() -> None:
    net = mlp((2, 1, 1), nn.ReLU)
    for layer, weight, bias in zip((net[0], net[2]), ([[1.0, -1.0]], [[3.0]]), (0.5, -1.0), strict=True):
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor([bias])
    out = net(torch.tensor([[4.0, 1.0], [1.0, 4.0]]))
    assert out.flatten().tolist() == [3 * (4 - 1 + 0.5) - 1, 3 * 0 - 1]


def test_strided_net_is_its_own_stack_of_layers_without_dropout():
    torch.manual_seed(0)
    net, images = StridedNet(7, channels=2, dropout=0.5), torch.randn(5, 2, 28, 28)
    torch.testing.assert_close(net.eval()(images), net.as_sequential()(images))
    torch.manual_seed(0)
    assert not torch.equal(net.train()(images), net(images))
    with pytest.raises(ValueError, match=r"\[batch, 2, 28, 28\], not \[5, 1, 28, 28\]"):
        net(images[:, :1])


@pytest.mark.parametrize(("channels", "size"), [(1, (28, 28)), (3, (16, 40))])
def test_strided_net_samples_with_both_engines_alike(channels, size):
    torch.manual_seed(0)
    net = StridedNet(channels=channels, dropout=0.5, size=size).eval()
    x = torch.rand(20, channels, *size) * 2 - 1
    ends = [
        SGLD(20, 1.0, 0.01, (-1.0, 1.0), engine)(net, x, torch.Generator().manual_seed(3))
        for engine in ("torch", "numba")
    ]
    torch.testing.assert_close(*ends, rtol=0, atol=5e-5)


def test_mnist_net_under_autocast_keeps_float32_in_its_own_operation():
    torch.manual_seed(0)
    net, images = MNIST_Net(), torch.rand(4, 1, 28, 28)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(images)
    logits.float().sum().backward()
    torch.testing.assert_close(logits.float(), net(images), rtol=0.05, atol=0.02)
