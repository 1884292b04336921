"""Random changes of pictures that keep what they show: batched, on their device, all chance from one generator.

Each kind of change is a function of the images and of the amount for each image, which agrees with torchvision's for
one image, and `augment` draws the amounts. Images are float [batch, C, H, W] from 0 to 1.
"""

import math
from functools import cache

import torch
from torch import Tensor

RATIO = (3 / 4, 4 / 3)  # of a crop's width and height, as torchvision has it
TRIES = 10  # to draw a crop that fits, as torchvision has it
JITTER = (0.4, 0.4, 0.4, 0.1)  # most change of brightness, contrast, saturation and hue (SimCLR's, at half strength)
GREY = (0.2989, 0.587, 0.114)  # weights of red, green and blue (ITU-R 601-2)


def augment(
    images: Tensor,
    generator: torch.Generator,
    *,
    crop: tuple[float, float] = (1.0, 1.0),
    flip: float = 0.0,
    jitter: float = 0.0,
    desaturate: float = 0.0,
) -> Tensor:
    """A view of each image; on images that have not three channels, changes of colour are left out.

    Args:
        images: float [batch, C, H, W] from 0 to 1.
        generator: the source of all chance.
        crop: least and greatest share of the area that a random crop keeps; (1, 1) leaves crops out.
        flip: probability of a horizontal flip.
        jitter: probability of new brightness, contrast, saturation and hue.
        desaturate: probability of losing the colour.
    """
    if crop != (1.0, 1.0):
        images = resized_crop(images, draw_crops(images, crop, generator))
    if flip:
        images = torch.where(_coin(images, flip, generator), images.flip(-1), images)
    if jitter:
        images = torch.where(_coin(images, jitter, generator), _jitter(images, generator), images)
    if desaturate and images.shape[1] == 3:
        images = torch.where(_coin(images, desaturate, generator), grey(images), images)
    return images


def draw_crops(images: Tensor, area: tuple[float, float], generator: torch.Generator) -> Tensor:
    """A place for each image: top, left, height and width in pixels, int64 [batch, 4].

    As torchvision's RandomResizedCrop: area and log of the ratio of the sides are uniform, and what is larger than the
    image is drawn again; where no try fits, the crop is the greatest with a permitted ratio, in the middle.
    """
    batch, _, height, width = images.shape
    chance = torch.rand(TRIES + 1, 2, batch, generator=generator, device=images.device)
    size = height * width * (area[0] + (area[1] - area[0]) * chance[:-1, 0])
    low, high = (math.log(ratio) for ratio in RATIO)
    ratio = (low + (high - low) * chance[:-1, 1]).exp()
    sides = torch.stack([(size / ratio).sqrt(), (size * ratio).sqrt()], 2).round()  # [TRIES, batch, 2]
    room = _constants((height, width), images.device, torch.int64)
    fits = ((sides > 0) & (sides <= room)).all(2)
    drawn = sides[fits.int().argmax(0), torch.arange(batch, device=images.device)]  # the first try that fits
    one_fits = fits.any(0).unsqueeze(1)
    sides = torch.where(one_fits, drawn, _constants(_greatest_crop(height, width), drawn.device, drawn.dtype))
    free = room - sides
    corners = torch.where(one_fits, (chance[-1].T * (free + 1)).floor(), free.div(2).floor())
    return torch.cat([corners, sides], 1).long()


def _greatest_crop(height: int, width: int) -> tuple[int, int]:
    """Height and width of the greatest part of an image with a permitted ratio."""
    return min(height, round(width / RATIO[0])), min(width, round(height * RATIO[1]))


def resized_crop(images: Tensor, crops: Tensor) -> Tensor:
    """The part of each image at its place, [batch, 4] as from `draw_crops`, scaled to the whole (bilinear)."""
    top, left, height, width = crops.to(images.dtype).unbind(1)
    rows = _interpolation(top, height, images.shape[2])  # [batch, new, H]
    columns = _interpolation(left, width, images.shape[3])  # [batch, new, W]
    return rows.unsqueeze(1) @ images @ columns.unsqueeze(1).mT


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Brightness times factors [batch]; 1 changes nothing, as in the next two functions."""
    return (images * _each(factors)).clamp(0, 1)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Towards the image's mean grey, or away from it."""
    return _blend(images, grey(images).mean((1, 2, 3), keepdim=True), factors)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Towards the grey image, or away from it."""
    return _blend(images, grey(images), factors)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the colours of each image, [batch, 3, H, W], by a share of the full circle, [batch]."""
    value, which = images.max(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    red, green, blue = (images / chroma.clamp_min(1e-12)).split(1, 1)
    sixths = torch.where(which == 0, green - blue, torch.where(which == 1, 2 + blue - red, 4 + red - green))
    sixths = torch.where(chroma > 0, sixths, 0.0) + 6 * _each(turns)
    corner = _constants((5.0, 3.0, 1.0), images.device, images.dtype).view(3, 1, 1)
    k = (corner + sixths) % 6  # [batch, 3, H, W]
    return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)


def grey(images: Tensor) -> Tensor:
    """The brightness of each pixel, in as many channels; images without three channels are left as they are."""
    if images.shape[1] != 3:
        return images
    weights = _constants(GREY, images.device, images.dtype).view(3, 1, 1)
    return (images * weights).sum(1, keepdim=True).expand_as(images)


def _jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    """New brightness, contrast, saturation and hue, always in this order."""
    brightness, contrast, saturation, hue = JITTER
    chance = 2 * torch.rand(4, len(images), generator=generator, device=images.device) - 1
    images = adjust_brightness(images, 1 + brightness * chance[0])
    images = adjust_contrast(images, 1 + contrast * chance[1])
    if images.shape[1] != 3:
        return images
    images = adjust_saturation(images, 1 + saturation * chance[2])
    return adjust_hue(images, hue * chance[3])


def _interpolation(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Weights of old pixels in new ones, [batch, size, size], that scale `length` of them from `start` on to `size`."""
    pixels = torch.arange(size, device=start.device, dtype=start.dtype)
    source = (pixels + 0.5) * length.unsqueeze(1) / size - 0.5
    source = torch.minimum(source.clamp_min(0), length.unsqueeze(1) - 1) + start.unsqueeze(1)
    return (1 - (source.unsqueeze(2) - pixels).abs()).clamp_min(0)


@cache
@torch.inference_mode(False)
def _constants(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """These numbers on the device, copied there once: a copy in each step would make a GPU wait for it."""
    return torch.tensor(values, device=device, dtype=dtype)


def _blend(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    factor = _each(factors)
    return (factor * images + (1 - factor) * others).clamp(0, 1)


def _coin(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    return _each(torch.rand(len(images), generator=generator, device=images.device) < probability)


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
