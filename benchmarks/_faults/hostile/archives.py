"""Archives that escape, lie, or do not end."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from _faults.hostile.file import HostileFile
from stn_lightning.data._archives import unpack


def packed(*members: tarfile.TarInfo, content: bytes = b"", after: bytes = b"") -> bytes:
    """A ``.tar.gz``; its last member has a content."""
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb") as zipped:
        with tarfile.open(fileobj=zipped, mode="w|") as tar:
            for member in members[:-1]:
                tar.addfile(member)
            if members[-1].isreg():
                members[-1].size = len(content)
            tar.addfile(members[-1], io.BytesIO(content))
        zipped.write(after)
    return stream.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """One of an archive."""
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


def long_header() -> bytes:
    """A header of 100 MB, in 100 kB."""
    header = member("x", tarfile.XHDTYPE)
    header.size = 100 << 20
    return gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(100 << 20), 9)


def through_a_link() -> bytes:
    """A link to outside, and a file behind it."""
    return packed(member("train/out", tarfile.SYMTYPE, "../../.."), member("train/out/escaped"), content=b"x")


def negative_size() -> bytes:
    """A member that ends before it begins."""
    found = member("train/1.png")
    found.size = -512
    return gzip.compress(found.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def _written(content: Callable[[], bytes], folder: Path) -> Path:
    (folder / "below" / "here").mkdir(parents=True)
    file = folder / "below" / "here" / "bad.tar.gz"
    file.write_bytes(content())
    return file


def _unpack(file: Path) -> None:
    unpack(file, f"http://localhost/{file.name}")


CONTENTS: list[tuple[str, Callable[[], bytes], str]] = [
    ("member above its folder", lambda: packed(member("../../escaped"), content=b"x"), "outside"),
    ("member of an absolute name", lambda: packed(member("/tmp/escaped"), content=b"x"), "name of a file in a folder"),
    ("file behind a link to outside", through_a_link, "neither a plain file nor a folder"),
    ("hard link to outside", lambda: packed(member("train/x", tarfile.LNKTYPE, "../../escaped")), "neither a plain file"),
    ("device", lambda: packed(member("train/x", tarfile.CHRTYPE)), "neither a plain file"),
    ("pipe", lambda: packed(member("train/x", tarfile.FIFOTYPE)), "neither a plain file"),
    ("100 MB of zeros in 100 kB", lambda: packed(member("train/x"), content=bytes(100 << 20)), "times its size"),
    ("header of 100 MB in 100 kB", long_header, "header has more than"),
    ("member of a negative size", negative_size, "bad.tar.gz"),
    ("member that a terminal obeys", lambda: packed(member("train/\x1b[2J.png"), content=b"x"), "name of a file"),
    ("100 MB behind its end", lambda: packed(member("train/x"), content=b"x", after=bytes(100 << 20)), "behind its end"),
]
FILES = [HostileFile(f"archive: {name}", partial(_written, make), _unpack, says) for name, make, says in CONTENTS]
