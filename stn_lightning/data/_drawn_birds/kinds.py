"""Kinds of drawn birds: they differ in a mark on the head and a mark on the breast, and in nothing else."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt
from typing import Any, NamedTuple

from numpy.typing import NDArray

Mark = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]  # of u (forwards) and v (down) in the unit disc

HEAD_MARKS: dict[str, Mark] = {
    "cap": lambda u, v: v < -0.3,
    "stripe": lambda u, v: abs(v) < 0.24,
    "mask": lambda u, v: u > 0.2,
    "bib": lambda u, v: v > 0.25,
    "nape": lambda u, v: u < -0.25,
    "cheek": lambda u, v: (u + 0.1) ** 2 + (v - 0.25) ** 2 < 0.24,
}
BREAST_MARKS: dict[str, Mark] = {
    "spots": lambda u, v: ((1.7 * u) % 1 - 0.5) ** 2 + ((1.7 * v) % 1 - 0.5) ** 2 < 0.12,
    "bars": lambda u, v: (1.7 * u) % 1 < 0.45,
    "streaks": lambda u, v: (1.7 * v) % 1 < 0.45,
    "patch": lambda u, v: u**2 + v**2 < 0.4,
    "ring": lambda u, v: abs(u**2 + v**2 - 0.6) < 0.22,
    "band": lambda u, v: abs(u) < 0.3,
}
COLOURS = {"dark": (38, 30, 32), "rusty": (170, 62, 28), "yellow": (236, 204, 52), "white": (244, 244, 238)}
MOST_CLASSES = (len(HEAD_MARKS) * len(COLOURS)) * (len(BREAST_MARKS) * len(COLOURS))


class Kind(NamedTuple):
    """A class: the colours and names of its two marks."""

    head_colour: str
    head_mark: str
    breast_colour: str
    breast_mark: str

    @property
    def name(self) -> str:
        """Such as ``Dark_cap_dark_spots``."""
        return f"{self.head_colour.capitalize()}_{self.head_mark}_{self.breast_colour}_{self.breast_mark}"


def kinds(count: int) -> list[Kind]:
    """The first kinds; each mark is shared by several of them, so that neither alone says which it is.

    Up to 36 kinds differ in the shape of dark marks alone, more in colours too.

    Args:
        count: 2 to 576.
    """
    heads = [(colour, mark) for colour in COLOURS for mark in HEAD_MARKS]
    breasts = [(colour, mark) for colour in COLOURS for mark in BREAST_MARKS]
    width = ceil(sqrt(count))
    return [Kind(*heads[k % width], *breasts[k // width]) for k in range(count)]
