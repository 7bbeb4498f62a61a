"""Image files, opened with care: known formats, no more pixels than fit, and the name of a file that is damaged."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, TypeVar

from lightning.pytorch.utilities import rank_zero_info
from PIL import Image, UnidentifiedImageError

from stn_lightning._printable import printable
from stn_lightning.data._bounds import (
    LARGE_PIXELS,
    LONGEST_SIDE,
    MOST_IMAGE_BYTES,
    MOST_IMAGE_READS,
    MOST_PIXELS,
    MOST_SCANNED,
    MOST_WEBP_PIXELS,
)

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
START_OF_SCAN = b"\xff\xda"  # in a JPEG's data 0 follows a 255
T = TypeVar("T")
_alone = Lock()


def read_image(file: Path, use: Callable[[Image.Image], T], item: str = "") -> T:
    """What a function makes of an image file; what it holds says its format, not its name.

    Args:
        file: PNG, JPEG, BMP or WEBP, of at most 256 MiB.
        use: called with the image, opened and not yet decoded.
        item: what the image is in a list, for the message.

    Raises:
        ValueError: if the file is damaged, an animation, or of more than 50 million pixels (WEBP: 25), which are never
            decoded.
    """
    try:
        if not file.is_file():  # a pipe would be waited for
            raise ValueError("it is no regular file" if file.exists() else "it is not there")
        return decode(lambda: file.open("rb", buffering=0), use)
    except Exception as e:  # Pillow names a damaged file in many ways
        which = f"{printable(file)} ({item})" if item else printable(file)
        raise ValueError(f"{which} is not an image that can be read: {type(e).__name__}: {e}") from e


def decode(opened: Callable[[], io.RawIOBase | io.BytesIO], use: Callable[[Image.Image], T]) -> T:
    """What a function makes of an image.

    Args:
        opened: opens the image's bytes; called once or twice.
        use: called with the image, opened and not yet decoded.

    Raises:
        Exception: if it is not what ``read_image`` asks for.
    """
    with _FewReads(opened()) as stream, _checked(stream) as image:
        if image.format != "PNG":
            return _used(image, use)
        image.verify()  # the checksums of a PNG's chunks, which decoding leaves out
    with _FewReads(opened()) as stream, _checked(stream) as image:
        return _used(image, use)


class _FewReads(io.BufferedReader):
    """A file of a bounded size that is read in a bounded number of pieces."""

    def __init__(self, raw: Any) -> None:
        super().__init__(raw)
        self.reads = 0
        if (size := self.seek(0, io.SEEK_END)) > MOST_IMAGE_BYTES:
            raise ValueError(f"{size} bytes; {MOST_IMAGE_BYTES} are the most")
        self.seek(0)

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MOST_IMAGE_READS:
            raise ValueError(f"it is in more pieces than {MOST_IMAGE_READS} reads take")
        return super().read(size)


def _checked(stream: BinaryIO) -> Image.Image:
    try:
        image = Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError as e:
        raise ValueError(f"its content is not that of {', '.join(FORMATS)}") from e
    pixels = image.width * image.height
    most = MOST_WEBP_PIXELS if image.format == "WEBP" else MOST_PIXELS
    if pixels > most or max(image.size) > LONGEST_SIDE:
        raise ValueError(f"{image.width}x{image.height} pixels; {most} in all and {LONGEST_SIDE} a side are the most")
    if image.format in ("PNG", "WEBP"):
        if getattr(image, "is_animated", False):
            raise ValueError("it is an animation; expected one image")
    elif image.format != "BMP":
        at = stream.tell()
        stream.seek(0)
        passes = stream.read().count(START_OF_SCAN)
        stream.seek(at)
        if passes * pixels > MOST_SCANNED:
            raise ValueError(f"{passes} passes over {pixels} pixels; {MOST_SCANNED} in all are the most")
    return image


def _used(image: Image.Image, use: Callable[[Image.Image], T]) -> T:
    with _alone if image.width * image.height > LARGE_PIXELS else nullcontext():
        return use(image)


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
        rank_zero_info(
            f"{len(others)} of {len(found)} in {folder} left out, such as {printable(others[0])}: not {', '.join(SUFFIXES)}"
        )
    return files


def is_image(file: str | Path) -> bool:
    """Whether a file has the name of an image, and not that of a hidden file."""
    path = Path(file)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
