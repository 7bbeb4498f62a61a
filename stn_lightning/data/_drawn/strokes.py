"""A digit's strokes as a mask that fills its box: sharpened, slanted, seen from the side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

SMALLEST, LARGEST = 44, 144  # pixels of a digit as it is warped
BLUR = 2.2 / 28  # of the neighbourhood that a stroke stands out from, in image sides
EMPHASIS = 2.5
SOFTNESS = 0.05
INK = 100  # of 255: what counts as a stroke's edge


class Hand(NamedTuple):
    """What the digits of a number share.

    Attributes:
        weight: threshold of the strokes, 0.5 (bold) to 0.75 (thin).
        slant: shift of x per y.
        converge: how fast strokes converge from bottom to top and left to right, per digit height.
    """

    weight: float
    slant: float
    converge: tuple[float, float]


def draw_hand(draw: np.random.Generator) -> Hand:
    """A hand by chance."""
    converge = draw.normal(0, 0.12, 2).clip(-0.3, 0.3)
    return Hand(draw.uniform(0.5, 0.75), float(np.clip(draw.normal(0, 0.12), -0.35, 0.35)), (converge[0], converge[1]))


def strokes(image: NDArray[np.uint8], hand: Hand, height: float) -> Image.Image:
    """The strokes of a digit, cropped to their extent.

    Args:
        image: (H, W), bright strokes on black.
        hand: how it is written.
        height: pixels that it will be drawn at; the mask is about as fine.

    Returns:
        A mask of mode L: 255 on the strokes.
    """
    side = int(min(max(1.3 * height, SMALLEST), LARGEST))
    fine = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    around = np.asarray(fine.filter(ImageFilter.GaussianBlur(BLUR * side)), np.float32)
    level = ((1 + EMPHASIS) * np.asarray(fine, np.float32) - EMPHASIS * around) / max(int(image.max()), 1)
    sharp = Image.fromarray((255 / (1 + np.exp((hand.weight - level) / SOFTNESS))).astype(np.uint8))
    warped = sharp.transform((side, side), Image.Transform.PERSPECTIVE, _coefficients(hand, side), Image.Resampling.BILINEAR)
    ink = np.asarray(warped) > INK
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return warped.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)) if len(rows) else warped


def _coefficients(hand: Hand, side: int) -> list[float]:
    """Output pixel to source pixel: ``x = (a x' + b y' + c) / (g x' + h y' + 1)``, y alike, about the centre."""
    middle, zoom, g, h = side / 2, 1.25, hand.converge[0] / side, hand.converge[1] / side
    seen = np.array([[zoom + middle * g, zoom * hand.slant + middle * h], [middle * g, zoom + middle * h], [g, h]])
    shift = np.array([middle, middle, 1]) - seen @ (middle, middle)  # the middle stays where it is
    full = np.column_stack([seen, shift]) / shift[2]
    return [float(number) for number in full.ravel()[:8]]
