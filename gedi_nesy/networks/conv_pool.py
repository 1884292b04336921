"""Convolution, 2x2 max-pooling and ReLU as one operation: a matrix product and elementwise maxima, fast on CPU.

A pooled pixel is the largest of four convolutions, and their four windows lie in one patch of (k+1) x (k+1) pixels. So
one product of all patches with the kernel in its four positions gives four blocks, and pooling is their maximum.
Inside, tensors are batch-last, [channels, height, width, batch]. The result is the usual [batch, channels, height,
width] seen through strides, so a second operation takes it over without a copy.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Pullback = Callable[[Tensor], Tensor]  # from the gradient of a layer's output to its input's, to be called once
LayerWithPullback = Callable[[Tensor], tuple[Tensor, Pullback]]


def conv_pool_relu(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """relu(max_pool2d(conv2d(images, weight, bias), 2)), differentiable once in all three arguments.

    Where windows of a pool are equal, as on a flat background, the first takes the gradient, as in `max_pool2d`. A
    second derivative is a RuntimeError.
    On other devices than the CPU, for even kernels and for odd outputs of the convolution this is torch's own three
    operations, which are differentiable at any order.

    Args:
        images: shape [batch, channels, height, width].
        weight: shape [outputs, channels, k, k].
        bias: shape [outputs].

    Returns:
        Shape [batch, outputs, (height - k + 1) // 2, (width - k + 1) // 2].
    """
    k = weight.shape[-1]
    sizes = [size - k + 1 for size in images.shape[2:]]
    if images.device.type == "cpu" and k % 2 == 1 and all(size > 0 and size % 2 == 0 for size in sizes):
        pooled: Tensor = _ConvPoolReLU.apply(images, weight, bias)
        return pooled
    return F.relu(F.max_pool2d(F.conv2d(images, weight, bias), 2))


def conv_pool_relu_with_pullback(weight: Tensor, bias: Tensor) -> LayerWithPullback:
    """The same for constant weights, without autograd, which costs as much as the arithmetic where images are few.

    Args:
        weight: on the CPU, shape [outputs, channels, k, k] with an odd k.
        bias: shape [outputs].

    Returns:
        A layer for images, shape [batch, channels, height, width] with odd height - k and width - k, under `no_grad`.
    """
    kernel = _four_positions(weight.detach())

    def forward(images: Tensor) -> tuple[Tensor, Pullback]:
        pooled, route, _ = _pool_patches(images, kernel, bias)

        def pull_back(grad: Tensor) -> Tensor:
            return _grad_images(route.mul_(grad.permute(1, 2, 3, 0)), kernel, images)

        return pooled, pull_back

    return forward


class _ConvPoolReLU(torch.autograd.Function):
    """Shapes: N images, C channels, O outputs, s = k + 1 the side of a patch, h x w the pooled size."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        kernel = _four_positions(weight)
        pooled, route, patches = _pool_patches(images, kernel, bias)
        ctx.save_for_backward(images, kernel, route, patches if ctx.needs_input_grad[1] else None)
        return pooled

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        if torch.is_grad_enabled():  # create_graph=True
            raise RuntimeError(
                "conv_pool_relu is differentiable once on CPU; for more use conv2d, max_pool2d and relu."
            )
        images, kernel, route, patches = ctx.saved_tensors
        grad_blocks = route * grad.permute(1, 2, 3, 0)  # [4, O, h, w, N]
        grad_images = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_images = _grad_images(grad_blocks, kernel, images)
        if ctx.needs_input_grad[1]:
            rows = grad_blocks.flatten(2).flatten(0, 1)  # [4 * O, h * w * N]
            grad_weight = _sum_positions((rows @ patches.flatten(3).flatten(0, 2).T).view_as(kernel))
        if ctx.needs_input_grad[2]:
            grad_bias = grad_blocks.sum((0, 2, 3, 4))
        return grad_images, grad_weight, grad_bias


def _pool_patches(images: Tensor, kernel: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The result, [N, O, h, w]; which window it came from, [4, O, h, w, N]; the patches that it took."""
    patches = _patches(images, kernel.shape[-1])  # [C, s, s, h, w, N]
    blocks = kernel.flatten(2).flatten(0, 1) @ patches.flatten(3).flatten(0, 2)  # [4 * O, h * w * N]
    pooled, route = _max_of_four(blocks.view(*kernel.shape[:2], *patches.shape[3:]), bias)
    return pooled.permute(3, 0, 1, 2), route, patches


def _grad_images(grad_blocks: Tensor, kernel: Tensor, images: Tensor) -> Tensor:
    """From the gradient of the four windows, [4, O, h, w, N], to the images' gradient, in their layout."""
    grad_patches = kernel.flatten(2).flatten(0, 1).T @ grad_blocks.flatten(2).flatten(0, 1)
    return _add_patches(grad_patches.view(*kernel.shape[2:], *grad_blocks.shape[2:]), images)


def _patches(images: Tensor, side: int) -> Tensor:
    """Patches of side x side pixels, one every second pixel: [N, C, H, W] -> [C, side, side, h, w, N]."""
    batch_last = images.permute(1, 2, 3, 0).contiguous()
    return batch_last.unfold(1, side, 2).unfold(2, side, 2).permute(0, 4, 5, 1, 2, 3).contiguous()


def _add_patches(patches: Tensor, like: Tensor) -> Tensor:
    """The adjoint of `_patches`: [C, s, s, h, w, N] summed where patches overlap, in the layout of `like`."""
    channels, side, _, h, w, n = patches.shape
    half = side // 2
    # Even and odd rows and columns apart, so that a tap's pixels are neighbours: [C, 2, 2, H / 2, W / 2, N].
    phases = patches.new_zeros(channels, 2, 2, h + half - 1, w + half - 1, n)
    windows = phases.unfold(3, h, 1).unfold(4, w, 1).permute(3, 4, 0, 1, 2, 6, 7, 5)  # [half, half, C, 2, 2, h, w, N]
    taps = patches.view(channels, half, 2, half, 2, h, w, n).permute(1, 3, 0, 2, 4, 5, 6, 7)
    for row, row_taps in zip(windows, taps, strict=True):
        for window, tap in zip(row, row_taps, strict=True):
            window.add_(tap)
    images = torch.empty_like(like)
    images.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).copy_(phases.permute(5, 0, 3, 1, 4, 2))
    return images


def _four_positions(weight: Tensor) -> Tensor:
    """The kernel in the four corners of a patch, the last corner first: [O, C, k, k] -> [4, O, C, k + 1, k + 1]."""
    outputs, channels, k, _ = weight.shape
    padded = F.pad(weight, (1, 1, 1, 1))
    row, column = padded.stride()[2:]
    windows = padded.as_strided((2, 2, outputs, channels, k + 1, k + 1), (row, column, *padded.stride()))
    return windows.flatten(0, 1)


def _sum_positions(kernel: Tensor) -> Tensor:
    """The adjoint of `_four_positions`: [4, O, C, k + 1, k + 1] -> [O, C, k, k]."""
    last, third, second, first = kernel
    return first[..., :-1, :-1] + second[..., :-1, 1:] + third[..., 1:, :-1] + last[..., 1:, 1:]


def _max_of_four(blocks: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """relu(maximum + bias), [O, h, w, N], and which block it came from, [4, O, h, w, N], 1 there and 0 elsewhere.

    The second is written over `blocks`, as numbers: masks of numbers are vectorised on CPU, boolean ones are not.
    """
    corners = blocks.view(2, 2, *blocks.shape[1:])  # bottom and top; in each the right and the left one
    right, left = corners.unbind(1)  # [2, O, h, w, N]
    in_row = torch.maximum(left, right)
    bottom, top = in_row
    pooled = torch.maximum(top, bottom).add_(bias.view(-1, 1, 1, 1)).relu_()
    passes = pooled.sign()  # [O, h, w, N]: the ReLU's mask
    top.ge_(bottom).mul_(passes)  # from here on masks: is it in this row, and below, is it this one
    torch.sub(passes, top, out=bottom)
    left.ge_(right).mul_(in_row)
    torch.sub(in_row, left, out=right)
    return pooled, blocks
