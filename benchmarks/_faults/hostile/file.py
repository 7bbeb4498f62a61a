"""What a hostile file is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class HostileFile(NamedTuple):
    """A file, or a few of them, that a reader has to refuse.

    Attributes:
        name: what is wrong with it.
        make: makes it in an empty folder, and gives what is read of it.
        read: the reader of it; it has to raise.
        says: part of the message.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    says: str
