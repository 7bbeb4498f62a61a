"""The window around a house number, cut out of its image and resized to a square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stn_lightning.data._svhn.house_number import Box

Window = tuple[float, float, float, float]
Array = NDArray[np.floating[Any]]
BLOCK = 1 << 20
FARTHEST = 1e9


def window(boxes: Sequence[Box], enlargement: float) -> Window:
    """The smallest box around all digits, enlarged about its centre (Goodfellow et al. 2014: by 30 %).

    Args:
        boxes: at least one.
        enlargement: factor of width and height; 1.3 enlarges by 30 %.

    Returns:
        (left, top, right, bottom) in pixels.

    Raises:
        ValueError: if there is no box.
    """
    if not boxes:
        raise ValueError("expected the box of at least one digit, got none")
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    right, bottom = max(box.left + box.width for box in boxes), max(box.top + box.height for box in boxes)
    more_x, more_y = (right - left) * (enlargement - 1) / 2, (bottom - top) * (enlargement - 1) / 2
    return left - more_x, top - more_y, right + more_x, bottom + more_y


def crop(image: Image.Image, window: Window, side: int) -> NDArray[np.uint8]:
    """A window of an image, resized to a square; the aspect ratio is not kept.

    Bilinear, with a filter as wide as the reduction, so that nothing aliases. Outside the image its nearest border pixel
    goes on. Memory is that of the image, however large the window.

    Args:
        image: of any mode.
        window: (left, top, right, bottom) in pixels of the image, not necessarily whole ones: (0, 0, W, H) is all of it.
        side: of the square.

    Returns:
        (3, side, side), red, green and blue.

    Raises:
        ValueError: if the window lies farther out than a billion pixels.
    """
    left, top, right, bottom = window
    if not all(abs(edge) <= FARTHEST for edge in window):  # nor a NaN
        raise ValueError(f"expected a window within {FARTHEST:g} pixels, got {window}")
    reach_x, reach_y = max(1.0, (right - left) / side), max(1.0, (bottom - top) / side)
    image = as_rgb(image)
    inside = left >= reach_x and top >= reach_y and right <= image.width - reach_x and bottom <= image.height - reach_y
    if inside and right > left and bottom > top:
        square = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box=window))
    else:
        square = _continued(
            np.asarray(image), _weights(left, right, side, image.width), _weights(top, bottom, side, image.height)
        )
    return np.ascontiguousarray(square.transpose(2, 0, 1))


def as_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB; 16 bits of grey become 8."""
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def _continued(pixels: NDArray[np.uint8], x: Array, y: Array) -> NDArray[np.uint8]:
    """Pixels (H, W, 3), weighted by columns (side, W) and rows (side, H)."""
    (rows,), (columns,) = np.nonzero(y.any(0)), np.nonzero(x.any(0))
    across = slice(columns[0], columns[-1] + 1)
    square = np.zeros((len(y), len(x), 3), np.float32)
    step = max(1, BLOCK // (across.stop - across.start))
    for start in range(rows[0], rows[-1] + 1, step):
        down = slice(start, min(start + step, rows[-1] + 1))
        square += np.einsum("yh,hxc->yxc", y[:, down], x[:, across] @ pixels[down, across].astype(np.float32), optimize=True)
    return np.clip(np.rint(square), 0, 255).astype(np.uint8)


def _weights(start: float, stop: float, side: int, size: int) -> Array:
    """Weights (side, size) of a row's pixels in each pixel of its window, which may leave the row.

    A triangle about each centre; the first and the last pixel have what falls on those before and behind them.
    """
    reach = max(1.0, (stop - start) / side)
    centre = start + (np.arange(side)[:, None] + 0.5) * ((stop - start) / side)
    weights = np.maximum(0, 1 - abs(np.arange(size) + 0.5 - centre) / reach)
    phase = (centre - 0.5) % 1
    whole = _tail(phase, reach) + _tail(1 - phase, reach)
    for edge, towards in ((0, centre), (size - 1, size - centre)):
        beyond = np.where(towards >= -0.5, _tail(towards + 0.5, reach), whole - _tail(0.5 - towards, reach))
        weights[:, edge] += beyond[:, 0]
    normalised: Array = (weights / whole).astype(np.float32)
    return normalised


def _tail(distance: Array, reach: float) -> Array:
    """The triangle's weights at distance, distance + 1, distance + 2 and so on, added up; none is below 0."""
    count = np.maximum(0, np.ceil(reach - distance))
    total: Array = count - (count * distance + count * (count - 1) / 2) / reach
    return total
