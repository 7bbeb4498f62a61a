"""A house number as SVHN's format 1 describes it, and what every one of them must be."""

from __future__ import annotations

from typing import NamedTuple

from stn_lightning.data._bounds import LONGEST_SIDE

FIELDS = ("height", "label", "left", "top", "width")
MAX_DIGITS = 100
MAX_NAME = 255


class Box(NamedTuple):
    """A digit and where it is, in pixels of the image; a box may leave the image.

    Attributes:
        digit: 0 to 9.
        left: x of the left edge.
        top: y of the upper edge.
        width: over 0.
        height: over 0.
    """

    digit: int
    left: float
    top: float
    width: float
    height: float


class HouseNumber(NamedTuple):
    """An image's file name and its digits.

    Attributes:
        name: a plain file name, at most 255 characters.
        boxes: 1 to 100 digits, in the file's order.
    """

    name: str
    boxes: tuple[Box, ...]


def check_name(name: str) -> str:
    """The name, if it is a plain file name.

    Raises:
        ValueError: if it is not.
    """
    if not 0 < len(name) <= MAX_NAME or name in (".", "..") or not name.isprintable() or set(name) & set("/\\:"):
        raise ValueError(f"expected a plain file name of 1 to {MAX_NAME} printable characters, got {name[:80]!r}")
    return name


def check_box(box: Box) -> Box:
    """The box, if it is one of a digit 0 to 9 with a positive size, no farther out than the largest image.

    Raises:
        ValueError: if it is not.
    """
    if not all(abs(number) <= LONGEST_SIDE for number in box):  # nor a NaN
        raise ValueError(f"expected finite numbers within {LONGEST_SIDE} pixels, got {box}")
    if box.digit not in range(10):
        raise ValueError(f"expected a digit 0 to 9 (label 10 is digit 0), got {box.digit}")
    if box.width <= 0 or box.height <= 0:
        raise ValueError(f"expected a box of positive width and height, got {box.width:g}x{box.height:g}")
    return box


def check_count(count: int) -> int:
    """The number of digits, if it is possible.

    Raises:
        ValueError: if it is not.
    """
    if not 0 < count <= MAX_DIGITS:
        raise ValueError(f"expected 1 to {MAX_DIGITS} digits, got {count}")
    return count


def check_number(number: HouseNumber) -> None:
    """Refuses a number that a ``digitStruct.mat`` should not hold.

    Raises:
        ValueError: if the name, the number of digits or a box is not what it should be.
    """
    check_name(number.name)
    check_count(len(number.boxes))
    for box in number.boxes:
        check_box(box)
