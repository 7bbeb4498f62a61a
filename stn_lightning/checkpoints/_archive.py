"""Archives of ``torch.save`` that end with a checksum of all that is before it, and load as any other."""

from __future__ import annotations

import struct
from hashlib import sha256
from io import SEEK_END, BytesIO
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import torch

SEAL = b"stn-lightning sha256 "
DIGITS = 64


def sealed(content: Any) -> BytesIO:
    """The archive of plain data, with its checksum as the comment of the zip archive.

    Args:
        content: what ``torch.load`` gives back under ``weights_only=True``.
    """
    stream = BytesIO()
    torch.save(content, stream)
    stream.seek(-2, SEEK_END)  # the length of the comment ends an archive that has none
    stream.write(struct.pack("<H", len(SEAL) + DIGITS))
    stream.write(SEAL)
    stream.write(sha256(stream.getbuffer()).hexdigest().encode())
    return stream


def check_archive(data: bytes) -> None:
    """Finds every flipped bit of a sealed archive, and every one in the contents of another.

    Args:
        data: all bytes of the file.

    Raises:
        ValueError: for what is damaged, or no archive that ``torch.save`` writes.
        Exception: of ``zipfile``, of many kinds, for what is no zip archive.
    """
    body, digest = memoryview(data)[:-DIGITS], data[-DIGITS:]
    is_sealed = bytes(body[-len(SEAL) :]) == SEAL
    if is_sealed and sha256(body).hexdigest().encode() != digest:
        raise ValueError("its checksum is that of another content")
    with ZipFile(BytesIO(data)) as archive:
        members = archive.infolist()
        if any(member.compress_type != ZIP_STORED for member in members) or sum(m.file_size for m in members) > len(data):
            raise ValueError("its contents are larger than the file")
        if is_sealed:
            return
        if archive.comment:
            raise ValueError("its checksum is damaged")
        broken = archive.testzip()
    if broken is not None:
        raise ValueError(f"the checksum of {broken} is that of another content")
