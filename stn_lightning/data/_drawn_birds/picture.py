"""A bird in a textured scene, drawn at four times its resolution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from stn_lightning.data._drawn.camera import light
from stn_lightning.data._drawn.grounds import tinted, wall
from stn_lightning.data._drawn_birds.figure import CIRCLE, Figure, Frame, draw_figure
from stn_lightning.data._drawn_birds.kinds import BREAST_MARKS, COLOURS, HEAD_MARKS, Kind, Mark

FINE = 4
INKS = list(COLOURS.values())
Ink = tuple[int, ...]


def draw_bird(kind: Kind, side: int, draw: np.random.Generator) -> tuple[Image.Image, Figure]:
    """An RGB image (side x side) of a bird of a kind, and the figure that it shows, in its pixels.

    Plumage, pose, place and scene are by chance, the same for all kinds; the scene has discs with other kinds' marks.
    """
    figure = draw_figure(draw, side)
    image = _scene(side, draw)
    _perch(image, figure, side, draw)
    _bird(image, figure, kind, side, draw)
    small = np.asarray(image.reduce(FINE), np.float32) * light((side, side), draw)
    small += draw.standard_normal((side, side, 1), np.float32) * np.float32(draw.uniform(1, 5))
    return Image.fromarray(small.clip(0, 255).astype(np.uint8)), figure


def _scene(side: int, draw: np.random.Generator) -> Image.Image:
    base = np.array(
        [(96, 120, 70), (130, 110, 84), (150, 170, 190), (90, 92, 80), (170, 165, 140)][draw.integers(5)], np.float32
    )
    ground = wall((side, side), 0.2 * side, base + draw.normal(0, 14, 3).astype(np.float32), draw)
    image = ground.resize((side * FINE, side * FINE), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(image)
    for _ in range(draw.poisson(2)):
        ends = draw.uniform(-0.1, 1.1, (2, 2)) * side
        _line(pen, ends, draw.uniform(0.01, 0.05) * side, _ink(tinted(draw.uniform(40, 140), draw)))
    for _ in range(draw.poisson(14)):
        length = draw.uniform(0.03, 0.12) * side
        leaf = _disc(draw.uniform(0, side, 2), length, draw.uniform(0.25, 0.7) * length, draw)
        colour = np.array([(70, 110, 50), (120, 130, 60), (150, 110, 60), (60, 80, 60)][draw.integers(4)]) + draw.normal(
            0, 18, 3
        )
        _fill(pen, leaf.at(CIRCLE), _ink(colour))
    for _ in range(3 + draw.poisson(1)):
        centre = draw.uniform(0.05, 0.95, 2) * side
        length, width = draw.uniform(0.045, 0.075) * side * draw.uniform(0.85, 1.15, 2)
        disc = _disc(centre, length, width, draw)
        _fill(pen, disc.at(CIRCLE), _plumage(draw))
        marks = [*HEAD_MARKS.values(), *BREAST_MARKS.values()]
        _mark(image, disc, marks[draw.integers(len(marks))], _worn(INKS[max(0, int(draw.integers(-3, len(INKS))))], draw))
    return image


def _perch(image: Image.Image, figure: Figure, side: int, draw: np.random.Generator) -> None:
    feet = np.stack([figure.shapes["leg 0"][-1], figure.shapes["leg 1"][-1]])
    slope = np.array([side, draw.normal(0, 0.15) * side])
    ends = feet.mean(0) + np.stack([-slope, slope])
    _line(ImageDraw.Draw(image), ends, draw.uniform(0.02, 0.05) * side, _ink(tinted(draw.uniform(50, 130), draw)))


def _bird(image: Image.Image, figure: Figure, kind: Kind, side: int, draw: np.random.Generator) -> None:
    pen = ImageDraw.Draw(image)
    plumage = np.array(_plumage(draw), np.float32)
    horn = _ink(np.array((200, 150, 60)) * draw.uniform(0.3, 1.1))
    frames, shapes = figure.frames, figure.shapes
    for leg in ("leg 0", "leg 1"):
        _line(pen, shapes[leg], 0.012 * side, horn)
    _fill(pen, shapes["tail"], _ink(plumage * draw.uniform(0.65, 0.95)))
    _fill(pen, shapes["beak"], horn)
    neck = np.concatenate([frames["head"].at(((-0.5, -0.85), (0.5, 0.85))), frames["body"].at(((0.8, 0.5), (0.3, -0.9)))])
    _fill(pen, neck, _ink(plumage))
    _fill(pen, frames["body"].at(CIRCLE), _ink(plumage))
    _fill(pen, frames["head"].at(CIRCLE), _ink(plumage))
    _mark(image, frames["breast"], BREAST_MARKS[kind.breast_mark], _worn(COLOURS[kind.breast_colour], draw))
    _mark(image, frames["head"], HEAD_MARKS[kind.head_mark], _worn(COLOURS[kind.head_colour], draw))
    shade = plumage * draw.uniform(0.7, 0.9)
    _fill(pen, frames["wing"].at(CIRCLE), _ink(shade))
    for row in (-0.3, 0.1, 0.5):
        _line(pen, frames["wing"].at(((-0.85, row * 0.6), (0.5, row))), 0.006 * side, _ink(shade * 0.8))
    _fill(pen, frames["eye"].at(CIRCLE), (226, 216, 196))
    _fill(pen, Frame(frames["eye"].centre, frames["eye"].matrix * 0.6).at(CIRCLE), (12, 10, 10))


def _mark(image: Image.Image, frame: Frame, mark: Mark, colour: Ink) -> None:
    """Paints what of a disc a mark covers."""
    centre, matrix = frame.centre * FINE, frame.matrix * FINE
    reach = np.sqrt((matrix**2).sum(1))
    left, top = np.maximum(0, np.floor(centre - reach)).astype(int)
    right, bottom = np.minimum(image.size, np.ceil(centre + reach)).astype(int)
    if left >= right or top >= bottom:
        return
    x, y = np.arange(left, right) + 0.5 - centre[0], (np.arange(top, bottom) + 0.5 - centre[1])[:, None]
    (a, b), (c, d) = np.linalg.inv(matrix)
    u, v = a * x + b * y, c * x + d * y
    mask = Image.fromarray(((u**2 + v**2 <= 1) & mark(u, v)).astype(np.uint8) * 255)
    image.paste(colour, (int(left), int(top), int(right), int(bottom)), mask)


def _disc(centre: NDArray[Any], length: float, width: float, draw: np.random.Generator) -> Frame:
    angle = draw.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return Frame(np.asarray(centre), turn @ np.diag([length, width]))


def _plumage(draw: np.random.Generator) -> Ink:
    """Of middling lightness, so that every mark stands out."""
    colour = np.array([(150, 140, 125), (120, 135, 150), (165, 135, 105), (125, 145, 115), (150, 150, 155)][draw.integers(5)])
    return _ink(colour + draw.normal(0, 10) + draw.normal(0, 8, 3))


def _worn(colour: Ink, draw: np.random.Generator) -> Ink:
    return _ink(np.array(colour) + draw.normal(0, 10, 3))


def _ink(colour: NDArray[Any]) -> Ink:
    return tuple(int(level) for level in np.clip(colour, 0, 255))


def _fill(pen: ImageDraw.ImageDraw, points: NDArray[Any], colour: Ink) -> None:
    pen.polygon([(float(x), float(y)) for x, y in points * FINE - 0.5], colour)


def _line(pen: ImageDraw.ImageDraw, points: NDArray[Any], breadth: float, colour: Ink) -> None:
    pen.line([(float(x), float(y)) for x, y in points * FINE - 0.5], colour, max(1, round(breadth * FINE)), joint="curve")
