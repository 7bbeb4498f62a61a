"""House numbers as SVHN's format 1 has them: PNG files and the ``digitStruct.mat`` that says where their digits are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from stn_lightning.data._crops import Window, crop, window
from stn_lightning.data._decoding import image_files, read_image
from stn_lightning.data._image_cache import Item
from stn_lightning.data._svhn.digit_struct import HouseNumber, read_digit_struct

DIGIT_STRUCT = "digitStruct.mat"


def has_numbers(folder: Path) -> bool:
    """Whether a folder has the file that says where the digits of its images are."""
    return (folder / DIGIT_STRUCT).is_file()


def fingerprint(folder: Path) -> str:
    """SHA-256 of the ``digitStruct.mat`` of a folder and of the names and sizes of its images."""
    with (folder / DIGIT_STRUCT).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    with os.scandir(folder) as entries:
        files = sorted((entry.name, entry.stat().st_size) for entry in entries if entry.name.endswith(".png"))
    digest.update(repr(files).encode())
    return digest.hexdigest()


def crops(folder: Path, side: int, enlargement: float) -> list[Callable[[], Item]]:
    """Functions that each read the crop of one house number, with its digits and its name, in the file's order.

    Args:
        folder: of PNG files and their ``digitStruct.mat``.
        side: of a crop.
        enlargement: of the box around all digits of a number.

    Raises:
        FileNotFoundError: if a file is missing; names it.
        ValueError: if ``digitStruct.mat`` is damaged; the functions, if an image is; names the file and the item.
    """
    numbers = read_digit_struct(folder / DIGIT_STRUCT)
    there = set(os.listdir(folder))
    for i, number in enumerate(numbers, 1):
        if number.name not in there:
            raise FileNotFoundError(f"no {folder / number.name}, which is item {i} of {len(numbers)} of {DIGIT_STRUCT}")
    names = [f"item {i} of {len(numbers)} of {DIGIT_STRUCT}" for i in range(1, len(numbers) + 1)]
    return [partial(_read, folder, number, name, side, enlargement) for number, name in zip(numbers, names, strict=True)]


def whole_images(folder: Path, side: int) -> list[Callable[[], Item]]:
    """Functions that each read an image file of a folder, resized to a square, with its name; in the order of names.

    Args:
        folder: of PNG, JPEG, BMP or WEBP files; others are passed over.
        side: of the square.

    Raises:
        FileNotFoundError: if there is no folder, or no image in it.
        ValueError: the functions, if an image is damaged; names the file.
    """
    return [partial(_read_whole, file, side) for file in image_files(folder)]


def _read_whole(file: Path, side: int) -> Item:
    def upright(image: Image.Image) -> NDArray[np.uint8]:
        image = ImageOps.exif_transpose(image)  # as its camera was held
        return crop(image, (0, 0, *image.size), side)

    return Item(read_image(file, upright), (), file.name)


def _read(folder: Path, number: HouseNumber, item: str, side: int, enlargement: float) -> Item:
    image = read_crop(folder / number.name, side, window(number.boxes, enlargement), item)
    return Item(image, tuple(box.digit for box in number.boxes), number.name)


def read_crop(file: Path, side: int, window: Window | None = None, item: str = "") -> NDArray[np.uint8]:
    """A window of an image file, (3, side, side).

    Args:
        file: PNG, JPEG, BMP or WEBP.
        side: of the crop.
        window: (left, top, right, bottom) in pixels; None for the whole image.
        item: what the image is in a list, for the message.

    Raises:
        ValueError: if the file is damaged, or of more than 50 million pixels, which are never decoded.
    """
    return read_image(file, lambda image: crop(image, window if window is not None else (0, 0, *image.size), side), item)
