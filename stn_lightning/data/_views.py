"""What of an image a network sees: the image resized, a square of it, perhaps mirrored; and where points are in it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from stn_lightning.data._crops import as_rgb

Floats = NDArray[np.floating[Any]]
Size = tuple[int, int]


class Framing(NamedTuple):
    """How images become squares.

    Attributes:
        size: side of the square.
        resize: smallest side of the image as it is resized, at least ``size``.
        channels: 3, or 1 for grey.
        upright: whether an image is turned as its EXIF orientation says.
        random_crop: whether the square's place is by chance in training; else it is in the middle.
        flip: whether half of the training images are mirrored.
    """

    size: int
    resize: int
    channels: int = 3
    upright: bool = False
    random_crop: bool = True
    flip: bool = True


class View(NamedTuple):
    """A square of an image.

    Attributes:
        image: (width, height) in pixels.
        resized: (width, height) that the image is resized to.
        left: of the square in the resized image.
        top: of the square in the resized image.
        side: of the square.
        flip: whether it is mirrored, left for right.
    """

    image: Size
    resized: Size
    left: int
    top: int
    side: int
    flip: bool = False

    def normalised(self, points: Floats) -> Floats:
        """Where points (..., 2), x and y in pixels of the image, are in the square: its edges are -1 and 1.

        The first pixel spans 0 to 1.
        """
        scale = np.divide(self.resized, self.image)
        seen = (np.asarray(points, np.float64) * scale - (self.left, self.top)) * (2 / self.side) - 1
        return seen * (-1, 1) if self.flip else seen

    def window(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of the square, as fractions of the image."""
        width, height = self.resized
        return (
            self.left / width,
            self.top / height,
            (self.left + self.side) / width,
            (self.top + self.side) / height,
        )


def resized(size: Size, smallest: int) -> Size:
    """(width, height) with a given smallest side, in proportion, the other rounded down, as torchvision does."""
    width, height = size
    if width <= height:
        return smallest, int(smallest * height / width)
    return int(smallest * width / height), smallest


def centre_view(size: Size, framing: Framing) -> View:
    """The square in the middle of an image, as torchvision's ``CenterCrop`` takes it."""
    width, height = resized(size, framing.resize)
    left, top = (round((side - framing.size) / 2) for side in (width, height))
    return View(size, (width, height), left, top, framing.size)


def random_view(size: Size, framing: Framing, draw: np.random.Generator) -> View:
    """A square by chance: each place is equally likely, and one in two is mirrored."""
    width, height = resized(size, framing.resize)
    left, top = (int(draw.integers(side - framing.size + 1)) for side in (width, height))
    flip = bool(draw.random() < 0.5)
    view = View(size, (width, height), left, top, framing.size) if framing.random_crop else centre_view(size, framing)
    return view._replace(flip=flip and framing.flip)


def see(image: Image.Image, framing: Framing, draw: np.random.Generator | None) -> tuple[NDArray[np.uint8], View]:
    """The square (C, S, S) that is seen of an image, and its view.

    The image is resized by the bilinear filter, as wide as the reduction, so that nothing aliases; only the square is
    computed. A JPEG of more than twice the resolution is decoded at a half, a quarter or an eighth of it.

    Args:
        image: opened, not decoded; of any mode.
        framing: how it becomes a square.
        draw: source of chance; None for the middle.
    """
    whole = image.size
    drafted = image.draft(None, (framing.resize, framing.resize))
    extent = (float(image.width), float(image.height)) if drafted is None else drafted[1][2:]
    if framing.upright:
        turned = ImageOps.exif_transpose(image)
        if turned.size != image.size:
            whole, extent = whole[::-1], extent[::-1]
        image = turned
    view = centre_view(whole, framing) if draw is None else random_view(whole, framing, draw)
    left, top, right, bottom = view.window()
    box = (left * extent[0], top * extent[1], min(right * extent[0], image.width), min(bottom * extent[1], image.height))
    side = (framing.size, framing.size)
    square = np.asarray(_converted(image, framing.channels).resize(side, Image.Resampling.BILINEAR, box=box))
    planes = square[None] if square.ndim == 2 else square.transpose(2, 0, 1)
    return np.array(planes[:, :, ::-1] if view.flip else planes, order="C"), view


def _converted(image: Image.Image, channels: int) -> Image.Image:
    if channels == 1:
        return image if image.mode == "L" else as_rgb(image).convert("L")
    return as_rgb(image)
