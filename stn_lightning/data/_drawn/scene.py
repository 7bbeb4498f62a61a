"""One house number: digits in their boxes, on their ground, photographed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stn_lightning.data._drawn.camera import photograph
from stn_lightning.data._drawn.grounds import Colour, Edges, draw_colours, draw_ground
from stn_lightning.data._drawn.layouts import Layout
from stn_lightning.data._drawn.strokes import draw_hand, strokes
from stn_lightning.data._svhn.house_number import Box

Scene = NDArray[np.float32]  # (H, W, 3) in 0 to 255


def draw_house_number(layout: Layout, digits: Sequence[NDArray[np.uint8]], draw: np.random.Generator) -> Image.Image:
    """One house number; the strokes of each digit fill its box.

    Args:
        layout: where; boxes may leave the image.
        digits: (H, W) uint8 for each box: bright strokes on black.
        draw: source of chance.

    Returns:
        An RGB image of the layout's size.
    """
    boxes = layout.number.boxes
    reach = 4.0 * max(layout.size)  # what is farther away is not seen
    unit = min(float(np.median([box.height for box in boxes])), reach)
    ends = [(box.left, box.top, box.left + box.width, box.top + box.height) for box in boxes]
    left, top, right, bottom = (
        min(max(float(pick(edge)), -reach), reach)
        for pick, edge in zip((min, min, max, max), zip(*ends, strict=True), strict=True)
    )
    edges = (left, top, right, bottom)

    colours, hand = draw_colours(draw), draw_hand(draw)
    scene: Scene = np.array(draw_ground(layout.size, edges, unit, colours, draw), np.float32)
    _paint_pieces(scene, edges, unit, digits[int(draw.integers(len(digits))) :], colours.ink, draw)
    masks = [strokes(image, hand, box.height) for image, box in zip(digits, boxes, strict=True)]
    if draw.random() < 0.3:  # a shadow on the ground
        (x, y), shadow = draw.normal(0, 0.05, 2) * unit, colours.ground * np.float32(draw.uniform(0.4, 0.8))
        for mask, box in zip(masks, boxes, strict=True):
            _paint(scene, mask, box._replace(left=box.left + x, top=box.top + y), (shadow, shadow), 0.8)
    shade = (colours.ink - colours.ground) * np.float32(draw.uniform(-0.25, 0.25))
    for mask, box in zip(masks, boxes, strict=True):
        _paint(scene, mask, box, (colours.ink + shade, colours.ink - shade), 1)
    return photograph(scene, unit, draw)


def _paint(scene: Scene, mask: Image.Image, box: Box, ink: tuple[Colour, Colour], cover: float) -> None:
    """Blends ink, from its upper to its lower colour, into the part of the box that lies in the scene."""
    left, top = round(box.left), round(box.top)
    width, height = max(1, round(box.left + box.width) - left), max(1, round(box.top + box.height) - top)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(scene.shape[1], left + width), min(scene.shape[0], top + height)
    if x0 >= x1 or y0 >= y1:
        return
    across, down = mask.width / width, mask.height / height
    part = ((x0 - left) * across, (y0 - top) * down, (x1 - left) * across, (y1 - top) * down)
    seen = mask.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=part)
    alpha = np.asarray(seen, np.float32)[:, :, None] * np.float32(cover / 255)
    down_the_box = (np.arange(y0 - top, y1 - top, dtype=np.float32) / np.float32(height))[:, None, None]
    target = scene[y0:y1, x0:x1]
    target += alpha * (ink[0] + (ink[1] - ink[0]) * down_the_box - target)


def _paint_pieces(
    scene: Scene, edges: Edges, unit: float, digits: Sequence[NDArray[np.uint8]], ink: Colour, draw: np.random.Generator
) -> None:
    """Halves of digits left and right of the number, smaller than its own."""
    for image in digits[: draw.poisson(0.5)]:
        mask, size = strokes(image, draw_hand(draw), unit), unit * draw.uniform(0.3, 0.9)
        upper = draw.random() < 0.5
        half = mask.crop((0, 0, mask.width if upper else mask.width // 2 + 1, mask.height // 2 + 1 if upper else mask.height))
        beside = edges[0] - size * draw.uniform(1.2, 2.5) if draw.random() < 0.5 else edges[2] + size * draw.uniform(0.2, 1.5)
        box = Box(0, beside, draw.uniform(edges[1] - unit, edges[3]), size * 0.6, size)
        _paint(scene, half, box, (ink, ink), draw.uniform(0.5, 1))
