"""Layouts of house numbers like SVHN's: how long, how large, where.

The tables are statistics of the bounding boxes of SVHN's 33,402 training images, format 1 (Netzer et al., Reading Digits in
Natural Images with Unsupervised Feature Learning, 2011). The digits of one number are of equal height in more than 99.8% of
those images, and always here. Lengths are in units of that height.
"""

from __future__ import annotations

from math import erf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stn_lightning.data._seeds import derived_seed
from stn_lightning.data._svhn.house_number import Box, HouseNumber

LENGTHS = (5137, 18130, 8691, 1434, 9)  # images of one to five digits
FIRST = (84, 9242, 6321, 4348, 3511, 2829, 2153, 1877, 1585, 1451)  # how often a number begins with 0, 1, ..., 9
OTHER = (4864, 4618, 4264, 4148, 3946, 4051, 3574, 3718, 3459, 3208)  # how often another place holds them
LOG_ASPECT = (-0.687, -1.005, -0.684, -0.705, -0.691, -0.687, -0.679, -0.721, -0.692, -0.688)  # mean log(width / height)

PROBABILITIES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
NUMBER = {  # quantiles over numbers: height in pixels, margins around the number, means over its digits
    "height": (11, 12, 15, 17, 22, 30, 42, 57, 69, 102, 170),
    "left": (0, 0.485, 0.783, 0.846, 0.963, 1.149, 1.5, 2.083, 2.688, 4.818, 7.676),
    "right": (0, 0.513, 0.786, 0.846, 0.963, 1.158, 1.5, 2.063, 2.647, 4.76, 7.595),
    "top": (0, 0.021, 0.04, 0.056, 0.109, 0.2, 0.348, 0.571, 0.789, 1.818, 3.607),
    "bottom": (-0.071, 0, 0.053, 0.087, 0.149, 0.235, 0.371, 0.571, 0.792, 1.7, 3.529),
    "aspect": (-0.878, -0.6, -0.396, -0.297, -0.139, 0.02, 0.164, 0.286, 0.363, 0.529, 0.773),
    "gap": (-0.663, -0.247, -0.133, -0.096, -0.048, 0, 0.044, 0.094, 0.135, 0.306, 0.714),
    "rise": (-0.599, -0.364, -0.158, -0.098, -0.044, 0, 0.03, 0.071, 0.105, 0.211, 0.728),
}
CORRELATION = (  # of normal scores: length, then the rows of NUMBER
    (1, -0.06, 0.16, 0.14, 0.12, 0.12, -0.09, -0.05, -0.05),
    (-0.06, 1, -0.08, -0.1, 0, -0.02, -0.01, -0.08, -0.04),
    (0.16, -0.08, 1, 0.78, 0.78, 0.79, 0.07, -0.16, -0.09),
    (0.14, -0.1, 0.78, 1, 0.77, 0.78, 0.05, -0.16, -0.09),
    (0.12, 0, 0.78, 0.77, 1, 0.74, 0.1, -0.17, -0.07),
    (0.12, -0.02, 0.79, 0.78, 0.74, 1, 0.09, -0.14, -0.06),
    (-0.09, -0.01, 0.07, 0.05, 0.1, 0.09, 1, -0.22, -0.1),
    (-0.05, -0.08, -0.16, -0.16, -0.17, -0.14, -0.22, 1, 0.15),
    (-0.05, -0.04, -0.09, -0.09, -0.07, -0.06, -0.1, 0.15, 1),
)
DIGIT = {  # quantiles of a digit's departure from its number's mean
    "aspect": (-0.68, -0.41, -0.258, -0.187, -0.091, 0, 0.092, 0.188, 0.254, 0.405, 0.615),
    "gap": (-0.433, -0.15, -0.094, -0.069, -0.034, 0, 0.034, 0.069, 0.094, 0.152, 0.421),
    "rise": (-0.875, -0.215, -0.129, -0.092, -0.043, 0, 0.043, 0.092, 0.129, 0.217, 0.778),
}

Numbers = NDArray[np.float64]


class Layout(NamedTuple):
    """A house number and its image's size.

    Attributes:
        number: file name, digits and boxes.
        size: (height, width) of the image in pixels.
    """

    number: HouseNumber
    size: tuple[int, int]


def sample_layouts(count: int, seed: int) -> list[Layout]:
    """Layouts named 1.png, 2.png, ...; the first ones do not depend on how many there are.

    Lengths, heights, margins, widths, gaps and slopes have the marginal distributions of SVHN's training images and, by a
    Gaussian copula, their correlations. Positions and sizes are whole pixels, as in SVHN.

    Args:
        count: number of layouts, 0 or more.
        seed: 0 or more.

    Raises:
        ValueError: if count or seed is negative.
    """
    if count < 0 or seed < 0:
        raise ValueError(f"expected count and seed of 0 or more, got count {count} and seed {seed}")
    root = np.linalg.cholesky(np.array(CORRELATION))
    return [_layout(f"{i + 1}.png", root, np.random.default_rng(derived_seed("layout", seed, i))) for i in range(count)]


def _layout(name: str, root: Numbers, draw: np.random.Generator) -> Layout:
    ranks = [0.5 * (1 + erf(score / sqrt(2))) for score in root @ draw.standard_normal(len(root))]
    length = 1 + int(np.searchsorted(np.cumsum(LENGTHS[:-1]) / sum(LENGTHS), ranks[0], side="right"))
    of = {key: float(np.interp(rank, PROBABILITIES, NUMBER[key])) for key, rank in zip(NUMBER, ranks[1:], strict=True)}
    apart = {key: np.interp(draw.random(length), PROBABILITIES, row) for key, row in DIGIT.items()}
    digits = [int(draw.choice(10, p=np.array(row) / sum(row))) for row in (FIRST, *[OTHER] * (length - 1))]

    widths = np.exp(np.take(LOG_ASPECT, digits) + of["aspect"] + (apart["aspect"] if length > 1 else 0))
    alone = length < 3  # a mean of one gap or step is that one
    steps = widths[:-1] + of["gap"] + (0 if alone else apart["gap"][1:])
    rises = np.full(length - 1, of["rise"]) + (0 if alone else apart["rise"][1:])
    lefts, tops = np.append(0, np.cumsum(steps)), np.append(0, np.cumsum(rises))
    lefts, tops = lefts - lefts.min() + of["left"], tops - tops.min() + of["top"]
    size = (tops.max() + 1 + of["bottom"], (lefts + widths).max() + of["right"])

    unit = of["height"]
    boxes = tuple(
        Box(digit, round(left * unit), round(top * unit), max(1, round(width * unit)), max(1, round(unit)))
        for digit, left, top, width in zip(digits, lefts, tops, widths, strict=True)
    )
    return Layout(HouseNumber(name, boxes), (max(1, round(size[0] * unit)), max(1, round(size[1] * unit))))
