"""Images: bombs, lies, and what is none."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from _faults.hostile.file import HostileFile
from stn_lightning.data._crops import crop
from stn_lightning.data._decoding import read_image


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int = 4, height: int = 4, more: bytes = b"", bits: int = 1) -> bytes:
    """A black PNG, of which no more is made than fits; with more chunks."""
    rows = min(height, 20_000) * (1 + -(-min(width, 20_000) * bits // 8))
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(bytes(rows), 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def picture(kind: str, **options: object) -> bytes:
    """Noise, in a format of Pillow."""
    stream = io.BytesIO()
    noise = [Image.frombytes("RGB", (64, 48), random.Random(i).randbytes(64 * 48 * 3)) for i in range(2)]
    more = {"append_images": noise[1:]} if options.get("save_all") else {}
    noise[0].save(stream, kind, **options, **more)
    return stream.getvalue()


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose header lies."""
    content = picture("JPEG")
    at = content.index(b"\xff\xc0") + 5
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


def webp_of(side: int) -> bytes:
    """A WEBP of one small frame on a large canvas."""

    def riff(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    frame = bytes(6) + struct.pack("<I", 63)[:3] + struct.pack("<I", 47)[:3] + bytes(4) + picture("WEBP")[12:]
    canvas = struct.pack("<I", 2) + struct.pack("<I", side - 1)[:3] * 2
    content = b"WEBP" + riff(b"VP8X", canvas) + riff(b"ANIM", bytes(6)) + riff(b"ANMF", frame)
    return riff(b"RIFF", content)


def bmp_of(width: int, height: int) -> bytes:
    """A BMP of few pixels whose header lies."""
    content = picture("BMP")
    return content[:18] + struct.pack("<ii", width, height) + content[26:]


def many_passes() -> bytes:
    """A progressive JPEG, its last pass repeated."""
    stream = io.BytesIO()
    Image.new("L", (4000, 4000)).save(stream, "JPEG", progressive=True)
    content = stream.getvalue()
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * 3000 + content[-2:]


def bomb() -> bytes:
    """100 MB of zeros in 100 kB."""
    return zlib.compress(bytes(100 << 20))


def flipped() -> bytes:
    """A PNG with one bit of its pixels flipped."""
    content = bytearray(picture("PNG", compress_level=0))
    content[2000] ^= 1
    return bytes(content)


def _written(name: str, content: Callable[[], bytes], folder: Path) -> Path:
    (folder / name).write_bytes(content())
    return folder / name


def _sparse(folder: Path) -> Path:
    file = _written("x.png", png, folder)
    os.truncate(file, 10 << 30)
    return file


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "x.png")
    return folder / "x.png"


def _endless(folder: Path) -> Path:
    (folder / "x.png").symlink_to("/dev/zero")
    return folder / "x.png"


def _seen(file: Path) -> object:
    return read_image(file, lambda image: crop(image, (0, 0, *image.size), 64))


HUGE = 2**31 - 1

CONTENTS: list[tuple[str, str, Callable[[], bytes], str]] = [
    ("PNG of 400 million pixels in 50 kB", "x.png", partial(png, 20_000, 20_000), "x.png"),
    ("PNG of 2^62 pixels", "x.png", partial(png, HUGE, HUGE), "x.png"),
    ("PNG of one row of 100,000 pixels", "x.png", partial(png, 100_000, 1), "100000x1 pixels"),
    ("JPEG of 65,500 x 65,500 pixels", "x.jpg", partial(jpeg_of, 65_500, 65_500), "x.jpg"),
    ("JPEG of 60,000 x 1 pixels", "x.jpg", partial(jpeg_of, 60_000, 1), "60000x1 pixels"),
    ("WEBP of 16,384 x 16,384 pixels", "x.webp", partial(webp_of, 16_384), "x.webp"),
    ("WEBP of 49 million pixels", "x.webp", partial(webp_of, 7_000), "25000000 in all"),
    ("BMP of 2^62 pixels", "x.bmp", partial(bmp_of, HUGE, HUGE), "x.bmp"),
    ("BMP of more rows than it has", "x.bmp", partial(bmp_of, 64, -4000), "x.bmp"),
    ("PNG of 100,000 chunks", "x.png", lambda: png(more=chunk(b"abCd", b"") * 100_000), "more pieces"),
    ("PNG with a zTXt bomb", "x.png", lambda: png(more=chunk(b"zTXt", b"a\0\0" + bomb())), "x.png"),
    ("PNG with an iTXt bomb", "x.png", lambda: png(more=chunk(b"iTXt", b"a\0\1\0\0\0" + bomb())), "x.png"),
    ("PNG with 65 MB of text", "x.png", lambda: png(more=chunk(b"tEXt", b"a\0" + b"b" * (65 << 20))), "x.png"),
    ("animated PNG", "x.png", partial(picture, "PNG", save_all=True), "animation"),
    ("animated WEBP", "x.webp", partial(picture, "WEBP", save_all=True), "animation"),
    ("truncated JPEG", "x.jpg", lambda: picture("JPEG")[:-500], "truncated"),
    ("truncated PNG", "x.png", lambda: picture("PNG")[:-500], "x.png"),
    ("truncated WEBP", "x.webp", lambda: picture("WEBP")[:-500], "x.webp"),
    ("GIF named PNG", "x.png", partial(picture, "GIF"), "not that of PNG"),
    ("TIFF named JPEG", "x.jpg", partial(picture, "TIFF"), "not that of PNG"),
    ("PostScript named PNG", "x.png", partial(picture, "EPS"), "not that of PNG"),
    ("PNG named JPEG, a bit flipped", "x.jpg", flipped, "x.jpg"),
    ("JPEG of 3,000 passes", "x.jpg", many_passes, "passes"),
    ("JPEG of 100,000 segments", "x.jpg", lambda: b"\xff\xd8" + b"\xff\xe5\0\2" * 10**5 + picture("JPEG")[2:], "pieces"),
    ("no image, its name a terminal obeys", "\x1b[31m\n.png", lambda: b"no image", r"\x1b[31m\n.png"),
]
FILES = [HostileFile(name, partial(_written, file, make), _seen, says) for name, file, make, says in CONTENTS]
FILES += [
    HostileFile("PNG and 10 GB of zeros", _sparse, _seen, "bytes; 268435456 are the most"),
    HostileFile("pipe named PNG", _pipe, _seen, "no regular file"),
    HostileFile("link to an endless device", _endless, _seen, "no regular file"),
]
