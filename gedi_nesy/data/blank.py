"""Blank images, for which a network names a symbol all the same."""

from torch import Tensor

CONTRAST = 0.1  # between the darkest and the lightest pixel, of 1; JPEG and cameras leave less on white paper


def are_blank(inputs: Tensor, colours: int) -> Tensor:
    """Whether all pixels of an image, or of one of those that a network reads at once, are about the same.

    Args:
        inputs: intensities in [0, 1], [n, images * C, H, W].
        colours: C, 1 or 3.

    Returns:
        bool [n].
    """
    pixels = inputs.unflatten(1, (-1, colours)).flatten(3)  # [n, images, C, pixels]
    return (pixels.amax(3) - pixels.amin(3) < CONTRAST).all(2).any(1)
