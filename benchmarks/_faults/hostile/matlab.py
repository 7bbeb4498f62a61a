"""Files ``digitStruct.mat`` that lead elsewhere, share, or are more than they say."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from _faults.hostile.file import HostileFile
from stn_lightning.data._svhn.digit_struct import Box, HouseNumber, read_digit_struct, write_digit_struct

FILE = "digitStruct.mat"
Change = Callable[[h5py.File, h5py.Group, Path], object]


def _changed(change: Change, folder: Path) -> Path:
    boxes = (Box(7, 3.0, 4.0, 8.0, 21.0),)
    write_digit_struct(folder / FILE, [HouseNumber(f"{i}.png", boxes) for i in range(1, 4)])
    with h5py.File(folder / FILE, "r+") as file:
        change(file, file[file["digitStruct/bbox"][0, 0]], folder)
    return folder / FILE


def _truncated(size: int, folder: Path) -> Path:
    os.truncate(_changed(lambda *_: None, folder), size)
    return folder / FILE


def _external_link(file: h5py.File, group: h5py.Group, folder: Path) -> None:
    del group["top"]
    group["top"] = h5py.ExternalLink("/etc/hostname", "/x")


def _external_storage(file: h5py.File, group: h5py.Group, folder: Path) -> None:
    del group["top"]
    group.create_dataset("top", (1, 1), "f8", external=[("/etc/hostname", 0, 8)])


def _virtual_pipe(file: h5py.File, group: h5py.Group, folder: Path) -> None:
    """Whose size is asked of a pipe."""
    os.mkfifo(folder / "pipe")
    layout = h5py.VirtualLayout((1, 1), "f8", maxshape=(None, 1))
    source = h5py.VirtualSource(str(folder / "pipe"), "x", (1, 1), maxshape=(None, 1))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    del group["top"]
    group.create_virtual_dataset("top", layout)


def _loop(file: h5py.File, group: h5py.Group, folder: Path) -> None:
    del group["top"]
    group["top"] = h5py.SoftLink(f"{group.name}/top")


def _many(file: h5py.File, group: h5py.Group, folder: Path) -> None:
    del file["digitStruct/name"]
    file["digitStruct"].create_dataset("name", (10**12, 1), h5py.ref_dtype, chunks=(1024, 1))


def _bomb(file: h5py.File, group: h5py.Group, folder: Path) -> None:
    del group["top"]
    top = group.create_dataset("top", (1, 1), "f8", chunks=(1, 1), compression="gzip")
    top.id.write_direct_chunk((0, 0), zlib.compress(bytes(100 << 20)))


def _twice(file: h5py.File, group: h5py.Group, folder: Path) -> None:
    file["digitStruct/name"][1] = file["digitStruct/name"][0, 0]


def _shared(file: h5py.File, group: h5py.Group, folder: Path) -> None:
    """A hundred digits in each of many items, all of them the same."""
    for field in ("height", "label", "left", "top", "width"):
        del group[field]
        group[field] = np.array([[file.create_dataset(f"one {field}", data=np.ones((1, 1))).ref]] * 100, h5py.ref_dtype)
    names = [
        file.create_dataset(f"name {i}", data=np.frombuffer(f"{i}".encode("utf-16-le"), "<u2")[:, None]) for i in range(999)
    ]
    for field, references in (("name", [name.ref for name in names]), ("bbox", [group.ref] * 999)):
        del file["digitStruct"][field]
        file["digitStruct"][field] = np.array(references, h5py.ref_dtype)[:, None]


def _far(value: float, file: h5py.File, group: h5py.Group, folder: Path) -> None:
    group["left"][...] = value


def _no_group(file: h5py.File, group: h5py.Group, folder: Path) -> None:
    file["digitStruct/bbox"][0] = file["digitStruct/name"][0, 0]


CHANGES: list[tuple[str, Change, str]] = [
    ("a link to another file", _external_link, "item 1 of 3"),
    ("numbers kept in another file", _external_storage, "item 1 of 3"),
    ("numbers behind a pipe", _virtual_pipe, "another file"),
    ("a link to itself", _loop, "link to elsewhere"),
    ("10^12 numbers", _many, FILE),
    ("a bomb of 100 MB in a number", _bomb, "inflates to more"),
    ("a name twice", _twice, "second time"),
    ("digits that items share", _shared, "share"),
    ("a box at 1e300", partial(_far, 1e300), "item 1 of 3"),
    ("a box at nan", partial(_far, float("nan")), "item 1 of 3"),
    ("a reference to something else", _no_group, "reference to a group"),
]
FILES = [HostileFile(f"SVHN: {name}", partial(_changed, make), read_digit_struct, says) for name, make, says in CHANGES]
FILES += [HostileFile(f"SVHN: {n} bytes left", partial(_truncated, n), read_digit_struct, FILE) for n in (0, 600, 4000)]
