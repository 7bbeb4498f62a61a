"""``digitStruct.mat`` of SVHN's format 1: MATLAB 7.3, which is HDF5 behind 512 bytes of MATLAB's own.

    /digitStruct/name   (N, 1) references to (length, 1) uint16 characters
    /digitStruct/bbox   (N, 1) references to groups of height, label, left, top, width:
                        (1, 1) double where there is one digit, (n, 1) references to (1, 1) doubles where there are more
    /#refs#             all that is referred to

Source: Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
from h5py import h5d, h5f, h5g, h5r
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from stn_lightning.data._bounds import BYTES_PER_DIGIT, BYTES_PER_NUMBER, MOST_NUMBERS
from stn_lightning.data._svhn.digit_struct_writer import write_digit_struct
from stn_lightning.data._svhn.hdf5 import (
    DAMAGE,
    follow,
    is_references,
    keep_little,
    open_dataset,
    open_group,
    read_number,
    read_references,
    read_text,
)
from stn_lightning.data._svhn.house_number import (
    FIELDS,
    MAX_DIGITS,
    MAX_NAME,
    Box,
    HouseNumber,
    check_box,
    check_name,
)

__all__ = ["Box", "HouseNumber", "read_digit_struct", "write_digit_struct"]


def read_digit_struct(file: Path) -> list[HouseNumber]:
    """The house numbers of a ``digitStruct.mat``, in its order.

    Labels 10 and 0 are the digit 0. Nothing outside the file is read, no size is believed before it is checked, and no item
    may share its name, nor all together have more digits than the file has room for.

    Args:
        file: MATLAB 7.3 file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file, or an item of it, is damaged or not what it should be; names the file and the item.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"no file {file}")
    try:
        handle = h5py.File(file, "r", locking="best-effort")
    except DAMAGE as e:
        raise ValueError(f"{file} ({file.stat().st_size} bytes) is truncated or not a MATLAB 7.3 file: {_reason(e)}") from e
    with handle:
        keep_little(handle.id)
        try:
            size = file.stat().st_size
            pairs = _pairs(handle.id, min(size // BYTES_PER_NUMBER, MOST_NUMBERS))
        except DAMAGE as e:
            raise ValueError(f"{file}: expected /digitStruct/name and bbox, of one length: {_reason(e)}") from e
        return list(_numbers(handle.id, pairs, file, size // BYTES_PER_DIGIT))


def _pairs(file: h5f.FileID, most: int) -> list[tuple[h5r.Reference, h5r.Reference]]:
    top = open_group(h5g.open(file, b"/"), "digitStruct")
    names, boxes = (read_references(open_dataset(top, field), most) for field in ("name", "bbox"))
    if len(names) != len(boxes):
        raise ValueError(f"got {len(names)} names and {len(boxes)} bboxes")
    return list(zip(names, boxes, strict=True))


def _numbers(
    file: h5f.FileID, pairs: list[tuple[h5r.Reference, h5r.Reference]], path: Path, room: int
) -> Iterator[HouseNumber]:
    names: set[str] = set()
    shown = tqdm(pairs, f"reading {path.name}", unit=" items", disable=None)
    for i, (name_reference, boxes_reference) in enumerate(shown, 1):
        item = f"{path}: item {i} of {len(pairs)}"
        try:
            name = check_name(read_text(follow(name_reference, file, h5d.DatasetID), MAX_NAME))
        except DAMAGE as e:
            raise ValueError(f"{item}: its name cannot be read: {_reason(e)}") from e
        try:
            if name in names:
                raise ValueError("its name is there a second time")
            boxes = _boxes(file, follow(boxes_reference, file, h5g.GroupID))
            room -= len(boxes)
            if room < 0:
                raise ValueError("there are more digits than the file has room for: items share them")
        except DAMAGE as e:
            raise ValueError(f"{item} ({name}): {_reason(e)}") from e
        names.add(name)
        yield HouseNumber(name, boxes)


def _boxes(file: h5f.FileID, group: h5g.GroupID) -> tuple[Box, ...]:
    fields = {name: _field(file, open_dataset(group, name)) for name in FIELDS}
    counts = {name: len(values) for name, values in fields.items()}
    if len(set(counts.values())) != 1:
        raise ValueError(f"expected fields of one length, got {counts}")
    return tuple(_box(*row) for row in zip(*fields.values(), strict=True))


def _field(file: h5f.FileID, dataset: h5d.DatasetID) -> list[float]:
    if dataset.shape == (1, 1) and not is_references(dataset):
        return [read_number(dataset)]
    references = read_references(dataset, MAX_DIGITS)
    return [read_number(follow(reference, file, h5d.DatasetID)) for reference in references]


def _box(height: float, label: float, left: float, top: float, width: float) -> Box:
    if label not in range(11):
        raise ValueError(f"expected a label 0 to 10 (10 and 0 are the digit 0), got {label:g}")
    return check_box(Box(int(label) % 10, left, top, width, height))


def _reason(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
