"""examples.png: examples of a rule with their images, what was read on each, and whether that satisfies the rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from gedi_nesy.report.figure import INK, MUTED, ORANGE, enlarged, new_sheet, save

WIDTH = 760  # pixels of the sheet, where an example has few images
CARD = 230  # pixels that an example's words need
GAP = 4  # pixels between images
LINE, HEADING = 20, 46  # pixels of a line of words, and of a heading


@dataclass(frozen=True, eq=False)
class Shown:
    """An image of an example.

    Attributes:
        image: float [C, H, W] in [0, 1], C 1 or 3.
        symbol: what was read on it.
        is_wrong: whether a label says something else.
    """

    image: Tensor
    symbol: str
    is_wrong: bool = False


@dataclass(frozen=True)
class Card:
    """An example of a rule: what is said of it, whether it breaks the rule, and its images."""

    head: str
    facts: str
    breaks: bool
    images: Sequence[Shown]


def examples_png(path: Path, sections: Mapping[str, Sequence[Card]]) -> None:
    """Draw examples side by side below the headings of their sections.

    Args:
        path: of the PNG.
        sections: by heading; images may have any sizes and colours.

    Raises:
        ValueError: there are no examples.
    """
    cards = [card for section in sections.values() for card in section]
    if not cards:
        raise ValueError(f"no examples to draw in {path}")
    pictures = [enlarged(shown.image) for card in cards for shown in card.images]
    cell = max(p.shape[1] for p in pictures) + GAP, max(p.shape[0] for p in pictures)  # width, height
    card_width = max(cell[0] * max(len(card.images) for card in cards), CARD) + 4 * GAP
    columns = max(1, WIDTH // card_width)
    head = 2 * LINE if any(card.facts for card in cards) else LINE
    card_height = head + cell[1] + 2 * LINE
    lines = [-(-len(section) // columns) for section in sections.values()]
    figure, axes = new_sheet(columns * card_width, sum(HEADING + n * card_height for n in lines))
    top = 0
    for (heading, section), n in zip(sections.items(), lines, strict=True):
        axes.text(2 * GAP, top + HEADING / 2, heading, fontsize=8, color=MUTED, va="center")
        for k, card in enumerate(section):
            row, column = divmod(k, columns)
            _draw_card(axes, card, 2 * GAP + column * card_width, top + HEADING + row * card_height, cell, head)
        top += HEADING + n * card_height
    save(figure, path)


def _draw_card(axes: Axes, card: Card, left: int, top: int, cell: tuple[int, int], head: int) -> None:
    """One example whose upper left corner is there, its images in cells of that width and height below its words."""
    axes.text(left, top, card.head, fontsize=7, color=ORANGE if card.breaks else INK, va="top")
    axes.text(left, top + LINE, card.facts, fontsize=6, color=MUTED, va="top")
    for k, shown in enumerate(card.images):
        picture: np.ndarray = enlarged(shown.image)
        x, y = left + k * cell[0], top + head
        axes.imshow(picture, extent=(x, x + picture.shape[1], y + picture.shape[0], y), interpolation="none")
        middle, colour = x + picture.shape[1] / 2, ORANGE if shown.is_wrong else INK
        axes.text(middle, y + cell[1] + GAP, shown.symbol, fontsize=7, color=colour, va="top", ha="center")
