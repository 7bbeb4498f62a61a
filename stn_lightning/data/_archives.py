"""Archives from the internet: fetched, verified and unpacked beside where they belong."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from pathlib import Path

from stn_lightning.data._content import PIECE


def fetch(url: str, folder: Path, unpack: str) -> Path:
    """Fetches a file into a folder, under the name that its address ends with.

    Args:
        url: where it is.
        folder: new or not.
        unpack: what to do with a file fetched elsewhere, for the message.

    Raises:
        ConnectionError: if it cannot be fetched.
    """
    from torchvision.datasets.utils import download_url

    name = url.rpartition("/")[2]
    try:
        download_url(url, str(folder), name)
    except (RuntimeError, OSError) as e:
        raise ConnectionError(f"{url} could not be fetched: {e}. Where there is no internet, {unpack}") from e
    return folder / name


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
    """Unpacks a ``.tar.gz`` into the folder where it lies; nothing of it may leave the folder.

    Raises:
        ValueError: if it is damaged, or a member of it would leave the folder or be no plain file.
    """
    try:
        with gzip.open(file) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                tar.extractall(file.parent, filter="data")
            while stream.read(PIECE):  # to the checksum at its end
                pass
    except (tarfile.TarError, zlib.error, EOFError, OSError) as e:
        raise ValueError(f"{url} could not be unpacked in {file.parent}: {type(e).__name__}: {e}") from e
