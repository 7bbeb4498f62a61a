"""Files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from glob import escape
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO


@contextmanager
def whole_file(file: Path) -> Iterator[BinaryIO]:
    """A file to write, in a folder that is made: it gets its name when all is on the disk, and never on an error.

    What a killed writer of the same file left is removed.

    Args:
        file: to be written or replaced.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    remove_litter(file.parent, escape(file.name))
    stream = _beside(file)
    beside = Path(stream.name)
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            beside.replace(file)
        _to_disk(file.parent)
    finally:
        beside.unlink(missing_ok=True)


def remove_litter(folder: Path, names: str) -> None:
    """Removes what killed writers left in a folder, and nothing that a living process, of whichever run, still writes.

    Args:
        folder: where ``whole_file`` wrote.
        names: of the files, as a glob pattern.
    """
    for part in folder.glob(f".{names}.*.part"):
        with suppress(OSError), part.open("r+b") as stream:
            flock(stream, LOCK_EX | LOCK_NB)  # a writer holds it as long as it lives
            part.unlink()


def _beside(file: Path) -> BinaryIO:
    while True:
        beside = file.with_name(f".{file.name}.{token_hex(4)}.part")
        stream = beside.open("xb")
        with suppress(OSError):  # a file system without locks: litter stays
            flock(stream, LOCK_EX)
        if beside.exists():  # else it was taken for litter before it was locked
            return stream
        stream.close()


def _to_disk(folder: Path) -> None:
    """A rename outlives a power failure only when the folder is on the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system can
            os.fsync(handle)
    finally:
        os.close(handle)
