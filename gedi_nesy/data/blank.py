"""Blank images, for which a network names a symbol all the same."""

from torch import Tensor

CONTRAST = 0.1  # between the darkest and the lightest pixel, of 1; JPEG and cameras leave less on white paper


def are_blank(images: Tensor) -> Tensor:
    """Whether all pixels of an image, or of one of its channels, are about the same.

    Args:
        images: intensities in [0, 1], [n, C, H, W].

    Returns:
        bool [n].
    """
    pixels = images.flatten(2)
    return (pixels.amax(2) - pixels.amin(2) < CONTRAST).any(1)
