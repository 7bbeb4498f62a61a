"""What a house number hangs on: colours, walls, plates, and things beside it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = NDArray[np.float32]
Edges = tuple[float, float, float, float]  # left, top, right, bottom
GREY = np.array([0.299, 0.587, 0.114], np.float32)


class Colours(NamedTuple):
    """Of the ground under the digits, the digits and the wall around, each (3,) in 0 to 255."""

    ground: Colour
    ink: Colour
    wall: Colour


def draw_colours(draw: np.random.Generator) -> Colours:
    """Colours by chance: digits darker or lighter than their ground by 28 to 190 of 255 grey levels."""
    contrast = draw.uniform(45, 190) if draw.random() < 0.85 else draw.uniform(28, 60)
    contrast *= 1 if draw.random() < 0.5 else -1
    level = draw.uniform(max(15, 15 - contrast), min(240, 240 - contrast))
    ground, ink = tinted(level, draw), tinted(level + contrast, draw)
    wall = ground if draw.random() < 0.5 else tinted(draw.uniform(20, 235), draw)
    return Colours(ground, ink, wall)


def tinted(level: float, draw: np.random.Generator) -> Colour:
    """A colour (3,) of a grey level, 0 to 255: mostly pale."""
    tint = draw.standard_normal(3).astype(np.float32) * (7 if draw.random() < 0.8 else 25)
    return np.clip(level + tint - tint @ GREY, 0, 255).astype(np.float32)


def draw_ground(size: tuple[int, int], number: Edges, unit: float, colours: Colours, draw: np.random.Generator) -> Image.Image:
    """A wall, a plate on it or not, and lines and shapes beside the number.

    Args:
        size: (height, width) in pixels.
        number: the box around the digits.
        unit: a digit's height.
        colours: of plate and wall.
        draw: source of chance.
    """
    image = wall(size, unit, colours.wall, draw)
    pen = ImageDraw.Draw(image)
    for _ in range(draw.poisson(1.5)):
        _shape(pen, size, number, unit, draw)
    if colours.wall is not colours.ground or draw.random() < 0.3:
        _plate(pen, number, unit, colours.ground, draw)
    for _ in range(draw.poisson(0.4)):
        _line(pen, size, unit, draw)
    return image


def wall(size: tuple[int, int], unit: float, colour: Colour, draw: np.random.Generator) -> Image.Image:
    """A textured surface of (height, width) pixels, on which a thing is about ``unit`` pixels high."""
    height, width = size
    spread = draw.uniform(2, 18)
    coarse = colour + draw.normal(0, spread, (3, 4, 1)) + draw.normal(0, 0.3 * spread, (3, 4, 3))
    base = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    kind = draw.random()
    if kind < 0.2:  # siding, tiles, louvres
        rows = (np.arange(height, dtype=np.float32) / (draw.uniform(0.25, 1.5) * unit) + draw.random()) % 1
        texture = (draw.uniform(-30, 30) * (rows < 0.12) + draw.uniform(-12, 12) * rows)[:, None, None]
    elif kind < 0.4:  # wood, along or upright
        cells = (height, max(2, width // 24)) if draw.random() < 0.6 else (max(2, height // 24), width)
        texture = _smooth(draw.normal(0, draw.uniform(3, 14), cells), size)
    elif kind < 0.7:  # stucco, stone
        grain = draw.uniform(0.05, 0.3) * unit + 1
        texture = _smooth(draw.normal(0, draw.uniform(4, 16), (round(height / grain) + 2, round(width / grain) + 2)), size)
    else:
        return base
    return Image.fromarray((np.asarray(base, np.float32) + texture).clip(0, 255).astype(np.uint8))


def _smooth(coarse: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float32]:
    """A coarse field (h, w) as (height, width, 1)."""
    fine = Image.fromarray(coarse.astype(np.float32)).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(fine)[:, :, None]


def _fill(colour: Colour) -> tuple[int, ...]:
    return tuple(int(level) for level in colour)


def _plate(pen: ImageDraw.ImageDraw, number: Edges, unit: float, colour: Colour, draw: np.random.Generator) -> None:
    margins = draw.uniform(0.05, 0.6, 4) * unit
    edges = tuple(float(edge) for edge in np.array(number) + np.array([-1, -1, 1, 1]) * margins)
    rim = _fill(tinted(draw.uniform(10, 240), draw)) if draw.random() < 0.5 else None
    breadth = max(1, round(draw.uniform(0.02, 0.1) * unit))
    if draw.random() < 0.8:
        pen.rounded_rectangle(edges, draw.uniform(0, 0.3) * unit, _fill(colour), rim, breadth)
        return
    reach = np.array([-1, -1, 1, 1]) * 0.25 * np.tile([number[2] - number[0], number[3] - number[1]], 2)
    pen.ellipse(tuple(float(edge) for edge in np.array(edges) + reach), _fill(colour), rim, breadth)


def _shape(pen: ImageDraw.ImageDraw, size: tuple[int, int], number: Edges, unit: float, draw: np.random.Generator) -> None:
    """A block left of, right of, above or below the number: a door, a window, a lamp."""
    gap, far = draw.uniform(0.05, 0.6) * unit, 2.0 * max(size) + unit
    left, top, right, bottom = number
    a, b = sorted(draw.uniform(-0.3, 1.3, 2))
    rows, columns = (a * size[0], b * size[0]), (a * size[1], b * size[1])
    edges = (
        (left - far, rows[0], left - gap, rows[1]),
        (right + gap, rows[0], right + far, rows[1]),
        (columns[0], top - far, columns[1], top - gap),
        (columns[0], bottom + gap, columns[1], bottom + far),
    )[draw.integers(4)]
    rim = _fill(tinted(draw.uniform(10, 240), draw)) if draw.random() < 0.4 else None
    pen.rectangle(edges, _fill(tinted(draw.uniform(10, 240), draw)), rim, max(1, round(0.06 * unit)))


def _line(pen: ImageDraw.ImageDraw, size: tuple[int, int], unit: float, draw: np.random.Generator) -> None:
    """A crack, a cable, an edge: mostly level or upright, from border to border."""
    height, width = size
    bend = draw.normal(0, 0.1) * max(size)
    if draw.random() < 0.5:
        y = draw.uniform(0, height)
        ends = (0.0, y, float(width), y + bend)
    else:
        x = draw.uniform(0, width)
        ends = (x, 0.0, x + bend, float(height))
    pen.line(ends, _fill(tinted(draw.uniform(10, 240), draw)), max(1, round(draw.uniform(0.01, 0.06) * unit)))
