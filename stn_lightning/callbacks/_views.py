"""What a picture of transformers shows of each image: the image, where they look, and what they see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from stn_lightning.callbacks._drawing import BLACK, ORANGE, PARTS, STEPS, Colour, cells, framed, outlined, row, stacked
from stn_lightning.callbacks._in_a_row import seen
from stn_lightning.callbacks._text import legend
from stn_lightning.spatial_transformer import Warped

PRODUCT = "product"
THIN = 144  # pixels of a cell to one of a thin line


class Views(NamedTuple):
    """Cells of a batch.

    Attributes:
        cells: of each view (B, 3, side, side) uint8; the image as it is comes first.
        colours: what the colours of outlines and frames mean.
    """

    cells: list[Tensor]
    colours: dict[str, Colour]


def path_views(images: Tensor, outlines: Mapping[str, Tensor], side: int) -> Views:
    """The image, the image with the outline after each transformer, the last thicker and on top, and what that one makes.

    Args:
        images: (B, C, H, W) in [0, 1].
        outlines: for each transformer in a row, from the input inwards, (B, H', W', 2) points of the image, as ``paths``
            gives them.
        side: height and width of each cell, in pixels.
    """
    thin = max(1.0, side / THIN)
    *steps, last = outlines
    colours = step_colours(steps)
    plain = drawn = cells(images, side)
    for name, colour in colours.items():
        drawn = outlined(drawn, outlines[name], colour, thin)
    drawn = outlined(drawn, outlines[last], ORANGE, 2 * thin)
    colours[f"{last} = {PRODUCT}" if steps else last] = ORANGE
    return Views([plain, drawn, cells(seen(images, outlines[last]), side)], colours)


def step_colours(steps: Sequence[str]) -> dict[str, Colour]:
    """The colour of each transformer in a row but the last, which is orange. They repeat after four."""
    return {name: STEPS[i % len(STEPS)] for i, name in enumerate(steps)}


def part_views(images: Tensor, parts: Mapping[str, Warped], side: int) -> Views:
    """The image, the image with the windows of parallel transformers, and each part, framed in the colour of its window.

    Colours repeat after eight.

    Args:
        images: (B, C, H, W) in [0, 1].
        parts: windows and what is in them, as ``parallel`` gives them.
        side: height and width of each cell, in pixels.
    """
    line = min(max(2, round(2 * side / THIN)), (side - 1) // 2)
    colours = {name: PARTS[i % len(PARTS)] for i, name in enumerate(parts)}
    plain = drawn = cells(images, side)
    for name, part in parts.items():
        drawn = outlined(drawn, part.grid, BLACK, line * 4 / 3, inside=True)  # a rim, for images of the same colour
        drawn = outlined(drawn, part.grid, colours[name], line, inside=True)
    return Views([plain, drawn, *(framed(part.output, side, colours[name], line) for name, part in parts.items())], colours)


def columns(views: Views, plain_row: bool = True) -> Tensor:
    """A picture (3, H, W) with a column an image and a row a view, and a legend of colours below.

    Args:
        views: what is shown.
        plain_row: whether the first row, without outlines, is shown.
    """
    rows = [row(each) for each in views.cells[0 if plain_row else 1 :]]
    return stacked([*rows, legend(views.colours, rows[0].shape[2])] if views.colours else rows)
