"""The writer of ``digitStruct.mat``; ``_digit_struct`` describes the format."""

from __future__ import annotations

import os
import string
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5p, h5r, h5s, h5t

from stn_lightning.data._svhn.house_number import FIELDS, HouseNumber, check_number

USERBLOCK = 512
HEADER = b"MATLAB 7.3 MAT-file, Platform: stn_lightning, HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\x00\x02IM"


def write_digit_struct(file: Path, numbers: Sequence[HouseNumber]) -> None:
    """Writes house numbers as SVHN's ``digitStruct.mat``; the digit 0 gets the label 10, as there.

    The same numbers give the same bytes. The file is written beside and renamed: it is whole or not there.

    Args:
        file: to be written or replaced; its folder exists.
        numbers: at least one.

    Raises:
        ValueError: if there are no numbers, or one is not what ``HouseNumber`` and ``Box`` ask for.
    """
    file = Path(file)
    if not numbers:
        raise ValueError(f"{file}: expected at least one house number, got none")
    for i, number in enumerate(numbers, 1):
        try:
            check_number(number)
        except ValueError as e:
            raise ValueError(f"{file}: item {i} of {len(numbers)} ({number.name[:80]!r}): {e}") from e
    beside = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with h5py.File(beside, "w", libver=("earliest", "v108"), userblock_size=USERBLOCK) as handle:
            _Writer(handle).write(numbers)
        with beside.open("r+b") as raw:
            raw.write(HEADER)
            raw.flush()
            os.fsync(raw.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


class _Writer:
    def __init__(self, handle: h5py.File) -> None:
        self.root = h5g.open(handle.id, b"/")
        self.pool = h5g.create(self.root, b"#refs#")
        self.count = 0
        self.plan = h5p.create(h5p.DATASET_CREATE)
        self.plan.set_obj_track_times(False)  # the same bytes at any time
        self.one = h5s.create_simple((1, 1))
        self.scalar = h5s.create(h5s.SCALAR)
        self.classes = {name: _fixed_text(name) for name in ("struct", "char", "double")}

    def write(self, numbers: Sequence[HouseNumber]) -> None:
        pairs = [(self.name(number.name), self.boxes(number)) for number in numbers]
        top = h5g.create(self.root, b"digitStruct")
        self.mark(top, "struct")
        for field, references in zip((b"name", b"bbox"), zip(*pairs, strict=True), strict=True):
            self.references(top, field, references)

    def name(self, name: str) -> h5r.Reference:
        characters = np.frombuffer(name.encode("utf-16-le"), "<u2")[:, None]
        dataset = h5d.create(self.pool, self.next_key(), h5t.STD_U16LE, h5s.create_simple(characters.shape), self.plan)
        dataset.write(h5s.ALL, h5s.ALL, characters)
        self.mark(dataset, "char")
        decode = h5a.create(dataset, b"MATLAB_int_decode", h5t.STD_I32LE, self.scalar)
        decode.write(np.array(2, np.int32))
        return h5r.create(dataset, b".", h5r.OBJECT)

    def boxes(self, number: HouseNumber) -> h5r.Reference:
        group = h5g.create(self.pool, self.next_key())
        self.mark(group, "struct")
        for field in FIELDS:
            values = [float((box.digit or 10) if field == "label" else getattr(box, field)) for box in number.boxes]
            if len(values) == 1:
                self.number(group, field.encode(), values[0])
            else:
                self.references(group, field.encode(), [self.referred(value) for value in values])
        return h5r.create(group, b".", h5r.OBJECT)

    def referred(self, value: float) -> h5r.Reference:
        return h5r.create(self.number(self.pool, self.next_key(), value), b".", h5r.OBJECT)

    def number(self, parent: h5g.GroupID, name: bytes, value: float) -> h5d.DatasetID:
        dataset = h5d.create(parent, name, h5t.IEEE_F64LE, self.one, self.plan)
        dataset.write(h5s.ALL, h5s.ALL, np.array([[value]]), h5t.NATIVE_DOUBLE)
        self.mark(dataset, "double")
        return dataset

    def references(self, parent: h5g.GroupID, name: bytes, references: Sequence[h5r.Reference]) -> None:
        """A field of an array of structs: MATLAB gives it no class."""
        column = np.empty((len(references), 1), h5py.ref_dtype)
        column[:, 0] = references
        dataset = h5d.create(parent, name, h5t.STD_REF_OBJ, h5s.create_simple(column.shape), self.plan)
        dataset.write(h5s.ALL, h5s.ALL, column)

    def mark(self, item: h5g.GroupID | h5d.DatasetID, name: str) -> None:
        kind, text = self.classes[name]
        h5a.create(item, b"MATLAB_class", kind, self.scalar).write(text, kind)

    def next_key(self) -> bytes:
        """a, b, ..., z, aa, ab, ..."""
        self.count, rest, key = self.count + 1, self.count + 1, ""
        while rest:
            rest, letter = divmod(rest - 1, 26)
            key = string.ascii_lowercase[letter] + key
        return key.encode()


def _fixed_text(text: str) -> tuple[h5t.TypeID, np.ndarray]:
    value = np.array(text.encode())
    return h5t.py_create(value.dtype), value
