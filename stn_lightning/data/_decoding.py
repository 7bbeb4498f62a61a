"""Image files, opened with care: known formats, no more pixels than fit, and the name of a file that is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lightning.pytorch.utilities import rank_zero_info
from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
MOST_PIXELS, LONGEST_SIDE = 50_000_000, 16_384
T = TypeVar("T")


def read_image(file: Path, use: Callable[[Image.Image], T], item: str = "") -> T:
    """What a function makes of an image file.

    Args:
        file: PNG, JPEG, BMP or WEBP.
        use: called with the image, opened and not yet decoded.
        item: what the image is in a list, for the message.

    Raises:
        ValueError: if the file is damaged, or of more than 50 million pixels, which are never decoded.
    """
    try:
        if not file.is_file():
            raise ValueError("it is no regular file" if file.exists() else "it is not there")
        if file.suffix.lower() == ".png":
            with Image.open(file, formats=FORMATS) as image:
                image.verify()  # the checksums of a PNG's chunks, which decoding leaves out
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
                raise ValueError(f"{width}x{height} pixels; {MOST_PIXELS} in all and {LONGEST_SIDE} a side are the most")
            return use(image)
    except Exception as e:  # Pillow names a damaged file in many ways
        which = f"{file} ({item})" if item else f"{file}"
        raise ValueError(f"{which} is not an image that can be read: {type(e).__name__}: {e}") from e


def image_files(folder: Path) -> list[Path]:
    """The PNG, JPEG, BMP and WEBP files of a folder, in the order of their names; others are passed over, and counted aloud.

    Raises:
        FileNotFoundError: if there is no folder, or no image in it.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise FileNotFoundError(f"expected a folder of images: {folder.absolute()} {what}")
    found = sorted(folder.iterdir())
    files = [file for file in found if is_image(file) and file.is_file()]
    if not files:
        raise FileNotFoundError(f"no images in {folder.absolute()}: expected files {', '.join(SUFFIXES)}")
    if others := [file.name for file in found if file not in {*files}]:
        rank_zero_info(f"{len(others)} of {len(found)} in {folder} left out, such as {others[0]}: not {', '.join(SUFFIXES)}")
    return files


def is_image(file: str | Path) -> bool:
    """Whether a file has the name of an image, and not that of a hidden file."""
    path = Path(file)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
