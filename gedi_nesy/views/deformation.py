"""How far two drawings are from being deformations of each other: a distance between images that needs no training.

A symbol written twice differs in slant, size and place, and by a few pixels everywhere. The first three are taken out
by the moments of the ink; the rest is forgiven by letting every pixel look for its counterpart nearby, as in the image
distortion model of Keysers, Deselaers, Gollan & Ney (PAMI 2007).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

HEIGHT, WIDTH = 0.38, 0.25  # standard deviations of the ink, in half images, that every drawing is scaled to
PATCH = 3  # pixels: side of the neighbourhood in which two drawings are compared
STRIDE = 2  # pixels between the places where they are
ROWS, COLUMNS = (
    128,
    512,
)  # images that are compared with each other at a time, so that what they need stays in the cache


def normalise_shape(images: Tensor) -> Tensor:
    """Centre drawings, set them upright and scale them to one size, by the moments of their ink.

    Args:
        images: ink on an empty ground, both 0 or more, [images, height, width].

    Returns:
        The same shape. How much a drawing is slanted or scaled is limited, so that a stroke such as 1 stays one.
    """
    n, height, width = images.shape
    y = torch.linspace(-1, 1, height, device=images.device).view(-1, 1)
    x = torch.linspace(-1, 1, width, device=images.device)
    ink = images.sum((1, 2)).clamp_min(1e-6)

    def mean(values: Tensor) -> Tensor:
        return ((images * values).sum((1, 2)) / ink).view(-1, 1, 1)

    mean_x, mean_y = mean(x), mean(y)
    var_y = mean((y - mean_y) ** 2)
    covariance = mean((x - mean_x) * (y - mean_y))
    var_x = mean((x - mean_x) ** 2) - covariance**2 / (var_y + 1e-6)  # what the slant leaves
    slant = (covariance / (var_y + 0.02)).clamp(-0.6, 0.6)
    tall = (var_y.sqrt() / HEIGHT).clamp(0.7, 1.4)
    wide = (var_x.clamp_min(1e-4).sqrt() / WIDTH).clamp(0.75, 1.5)
    maps = torch.zeros(n, 2, 3, device=images.device)  # from the new image's coordinates to the old one's
    maps[:, 0] = torch.stack([wide, slant * tall, mean_x], 1).view(n, 3)
    maps[:, 1, 1:] = torch.stack([tall, mean_y], 1).view(n, 2)
    grid = F.affine_grid(maps, [n, 1, height, width], align_corners=True)
    return F.grid_sample(images.unsqueeze(1), grid, align_corners=True).squeeze(1)


def deformation_distance(images: Tensor, reach: int = 2) -> Tensor:
    """The distance between every two images when each pixel may be matched with one nearby.

    At each place the gradients of a small patch are compared with every patch of the other image that is at most
    `reach` pixels away in each direction; the least squared difference counts. The sum over places is made
    symmetric by the mean of both directions.

    Args:
        images: [images, height, width].
        reach: pixels.

    Returns:
        [images, images]; its diagonal is 0.
    """
    n = len(images)
    patches = _gradient_patches(images)  # [height, width, images, features]
    squares = patches.square().sum(-1)  # [height, width, images]
    far_patches = F.pad(patches, (0, 0, 0, 0, reach, reach, reach, reach))
    far_squares = F.pad(squares, (0, 0, reach, reach, reach, reach))
    total = torch.zeros(n, n, device=images.device)
    for own in (slice(start, start + ROWS) for start in range(0, n, ROWS)):
        for other in (slice(start, start + COLUMNS) for start in range(0, n, COLUMNS)):
            near, far = (patches[:, :, own], squares[:, :, own]), (far_patches[:, :, other], far_squares[:, :, other])
            total[own, other] = _one_way(near, far, reach)
    return ((total + total.T) / 2).fill_diagonal_(0)


def _one_way(near: tuple[Tensor, Tensor], far: tuple[Tensor, Tensor], reach: int) -> Tensor:
    """From each of some images to each of some others, [own, others]: patches and their squares, the others' padded."""
    (patches, squares), (far_patches, far_squares) = near, far
    height, width, n, _ = patches.shape
    columns = slice(0, width, STRIDE)
    total = torch.zeros(n, far_patches.shape[2], device=patches.device)
    for row in range(0, height, STRIDE):
        nearest = torch.full((1,), torch.inf, device=patches.device)
        for down in range(2 * reach + 1):
            for right in range(2 * reach + 1):
                place = row + down, slice(right, right + width, STRIDE)
                theirs = far_squares[place].unsqueeze(1)  # |a - b|^2 = |a|^2 - 2 a.b + |b|^2, the first added below
                other = far_patches[place].transpose(1, 2)
                nearest = torch.minimum(nearest, torch.baddbmm(theirs, patches[row, columns], other, alpha=-2))
        total += (nearest + squares[row, columns].unsqueeze(2)).clamp_min(0).sum(0)
    return total


def gradients_of(images: Tensor) -> Tensor:
    """The horizontal and vertical Sobel gradients, [images, height, width] -> [images, 2, height, width]."""
    sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=images.device) / 4
    return F.conv2d(images.unsqueeze(1), torch.stack([sobel, sobel.T]).unsqueeze(1), padding=1)


def _gradient_patches(images: Tensor) -> Tensor:
    """The gradients around each pixel, [height, width, images, 2 * PATCH**2]."""
    patches = F.unfold(gradients_of(images), PATCH, padding=PATCH // 2)
    return patches.permute(2, 0, 1).reshape(*images.shape[1:], len(images), -1)


def affinity(distances: Tensor, neighbours: int, same: float, repulsion: float) -> Tensor:
    """How much two images want to share a symbol: above 0 for near ones, below for far ones.

    The unit of a distance is the two images' distances to a neighbour each (Zelnik-Manor & Perona 2004), so that a
    sprawling class counts like a tight one.

    Args:
        distances: [images, images], symmetric.
        neighbours: the number of the neighbour whose distance is an image's unit.
        same: the share of pairs that attract; about the share of pairs with one symbol.
        repulsion: minus the least affinity, for the farthest pairs, in standard deviations of the pairs.

    Returns:
        [images, images], with 0 on the diagonal.

    Raises:
        ValueError: if there are not more images than neighbours.
    """
    n = len(distances)
    if n <= neighbours:
        raise ValueError(f"The affinity of {n} images needs fewer than {n} neighbours, not {neighbours}.")
    unit = distances.sort(1).values[:, neighbours]  # the first is the image itself
    scaled = distances / (unit.unsqueeze(1) * unit).sqrt().clamp_min(1e-12)
    row, column = torch.triu_indices(n, n, 1)
    pairs = scaled[row, column]
    return ((pairs.quantile(same) - scaled) / pairs.std().clamp_min(1e-6)).clamp_min(-repulsion).fill_diagonal_(0)
