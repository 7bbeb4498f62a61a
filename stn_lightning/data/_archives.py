"""Archives from the internet: fetched, verified and unpacked beside where they belong."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from pathlib import Path
from typing import IO, cast
from urllib.request import urlopen

from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from stn_lightning.data._bounds import (
    MOST_ARCHIVE_BYTES,
    MOST_HEADER,
    MOST_MEMBERS,
    MOST_RATIO,
    SLACK,
    TIMEOUT,
)
from stn_lightning.data._content import PIECE


def fetch(url: str, folder: Path, unpack: str, most: int = MOST_ARCHIVE_BYTES) -> Path:
    """Fetches a file into a folder, under the name that its address ends with.

    Args:
        url: where it is.
        folder: new or not.
        unpack: what to do with a file fetched elsewhere, for the message.
        most: bytes that are taken.

    Raises:
        ConnectionError: if it cannot be fetched: nobody answers, or nothing comes for a minute, or less or more than should.
    """
    file = folder / url.rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with urlopen(url, timeout=TIMEOUT) as stream, file.open("wb") as target:
            size = int(stream.headers["Content-Length"] or -1)
            with tqdm(None, file.name, size if size > 0 else None, unit="B", unit_scale=True, disable=None) as shown:
                while piece := stream.read(PIECE):
                    shown.update(len(piece))
                    target.write(piece)
                    if target.tell() > most:
                        raise OSError(f"it has more than {most} bytes")
            if size not in (-1, target.tell()):
                raise OSError(f"expected {size} bytes, got {target.tell()}")
    except (ValueError, OSError) as e:
        raise ConnectionError(f"{url} could not be fetched: {e}. Where there is no internet, {unpack}") from e
    return file


def verify(file: Path, url: str, algorithm: str, expected: str) -> None:
    """Compares the hash of a fetched file with the one that is published.

    Args:
        file: what was fetched.
        url: where it was, for the message.
        algorithm: ``sha256`` or ``md5``.
        expected: hexadecimal.

    Raises:
        ValueError: if it is another.
    """
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, algorithm).hexdigest()
    if found != expected:
        title = {"sha256": "SHA-256", "md5": "MD5"}[algorithm]
        raise ValueError(
            f"{url} is not the archive that was published: expected {title} {expected}, got {found}; is the connection "
            f"tampered with? Try again, or fetch it elsewhere"
        )


def unpack(file: Path, url: str) -> None:
    """Unpacks a ``.tar.gz`` into the folder where it lies; nothing of it may leave the folder, or fill the disk.

    Raises:
        ValueError: if it is damaged, or has more members or bytes than an archive of its size should, or one that is neither
            a plain file nor a folder below where it lies.
    """
    try:
        with gzip.open(file) as stream:
            bounded = _Bounded(stream)
            with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r|") as tar:
                _extract(tar, file, bounded)
            if all(stream.read(PIECE) for _ in range(SLACK // PIECE)):  # to the checksum at its end
                raise ValueError("much lies behind its end")
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as e:
        raise ValueError(f"{url} could not be unpacked in {file.parent}: {type(e).__name__}: {e}") from e


def _extract(tar: tarfile.TarFile, file: Path, stream: _Bounded) -> None:
    room = SLACK + MOST_RATIO * file.stat().st_size
    for number, member in enumerate(tar, 1):
        room -= max(0, member.size)
        if number > MOST_MEMBERS or room < 0:
            raise ValueError(f"it holds more than {MOST_MEMBERS} members, or than {MOST_RATIO} times its size")
        if not (member.isfile() or member.isdir()) or member.issparse() or member.size < 0:
            raise ValueError(f"{member.name[:80]!r} is neither a plain file nor a folder")
        if not member.name.isprintable() or member.name.startswith("/"):
            raise ValueError(f"expected the name of a file in a folder, got {member.name[:80]!r}")
        stream.left = member.size + MOST_HEADER
        tar.extract(member, file.parent, filter="data")
        stream.left = MOST_HEADER


class _Bounded:
    """A stream that gives no more than is allowed next: tarfile takes a header of any length into memory."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self.stream, self.left = stream, MOST_HEADER

    def read(self, size: int) -> bytes:
        piece = self.stream.read(size)
        self.left -= len(piece)
        if self.left < 0:
            raise ValueError(f"a header has more than {MOST_HEADER} bytes")
        return piece
