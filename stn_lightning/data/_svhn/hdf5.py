"""Careful reading of small HDF5 objects by h5py's low-level calls.

A set of house numbers is half a million objects: they take ten seconds so, a minute and more through ``h5py.File[...]``.
Nothing outside the file is read: no soft or external link, external storage or virtual dataset is followed.
"""

from __future__ import annotations

import zlib
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5r, h5s, h5t, h5z

from stn_lightning.data._bounds import MOST_DATASET_BYTES

CACHE = 2**20  # bytes on disk, twenty times as much in memory
FILTERS = {h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE, h5z.FILTER_FLETCHER32}
DAMAGE = (
    OSError,
    RuntimeError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    zlib.error,
)  # what h5py raises of a damaged file
NUMBER = h5t.py_create(np.dtype(np.float64))
ONE = h5s.create_simple((1, 1))
CHARACTER = h5t.py_create(np.dtype(np.uint16))


def keep_little(file: h5py.h5f.FileID) -> None:
    """Bounds HDF5's cache of object headers: each is read once, and its default cache grows to 600 MB in memory."""
    plan = file.get_mdc_config()
    plan.set_initial_size, plan.initial_size = True, CACHE
    plan.min_size = plan.max_size = CACHE
    file.set_mdc_config(plan)


def open_group(parent: h5g.GroupID, name: str) -> Any:
    """A group that is in its parent itself.

    Raises:
        ValueError: if it is absent or behind a link.
    """
    return h5g.open(_parent(parent, name), name.encode())


def open_dataset(parent: h5g.GroupID, name: str) -> Any:
    """A dataset that is in its parent itself.

    Raises:
        ValueError: if it is absent or behind a link.
    """
    return _kept_here(h5d.open(_parent(parent, name), name.encode()))


def _parent(parent: h5g.GroupID, name: str) -> h5g.GroupID:
    try:
        kind = parent.links.get_info(name.encode()).type
    except DAMAGE as e:
        raise ValueError(f"there is no {name}") from e
    if kind != h5l.TYPE_HARD:
        raise ValueError(f"{name} is a link to elsewhere, which is not followed")
    return parent


def follow(reference: h5r.Reference, file: h5py.h5f.FileID, kind: type) -> Any:
    """What a reference means, if it is of its kind: ``h5g.GroupID`` or ``h5d.DatasetID``.

    Raises:
        ValueError: if it is of another.
    """
    found = h5r.dereference(reference, file)
    if not isinstance(found, kind):
        raise ValueError(f"expected a reference to a {kind.__name__.removesuffix('ID').lower()}")
    return _kept_here(found) if kind is h5d.DatasetID else found


def is_references(dataset: h5d.DatasetID) -> bool:
    """Whether it holds references, not numbers."""
    return bool(dataset.get_type().get_class() == h5t.REFERENCE)


def read_number(dataset: h5d.DatasetID) -> float:
    """The number of a dataset of one; HDF5 refuses to read another number of elements into ``ONE``."""
    number = np.empty((1, 1))
    dataset.read(ONE, h5s.ALL, number, NUMBER)
    return float(number[0, 0])


def read_text(dataset: h5d.DatasetID, longest: int) -> str:
    """The text of a (length, 1) dataset of UTF-16 characters."""
    characters = np.empty(_column(dataset, longest), "<u2")
    dataset.read(h5s.ALL, h5s.ALL, characters, CHARACTER)
    return characters.tobytes().decode("utf-16-le")


def read_references(dataset: h5d.DatasetID, most: int) -> list[h5r.Reference]:
    """The object references of an (n, 1) dataset."""
    if not is_references(dataset):
        raise ValueError("expected references")
    references = np.empty(_column(dataset, most), h5py.ref_dtype)
    dataset.read(h5s.ALL, h5s.ALL, references)
    return list(references[:, 0])


def _column(dataset: h5d.DatasetID, most: int) -> tuple[int, ...]:
    shape: tuple[int, ...] = dataset.shape
    if len(shape) != 2 or shape[1] != 1 or not 0 < shape[0] <= most:
        raise ValueError(f"expected shape (n, 1) with n from 1 to {most}, got {shape}")
    return shape


def _kept_here(dataset: h5d.DatasetID) -> h5d.DatasetID:
    """A dataset, before it is asked for its shape, for which HDF5 would open the files of a virtual one."""
    if dataset.get_offset() is None:  # else one block of this very file
        plan = dataset.get_create_plist()
        layout = plan.get_layout()
        if layout == h5d.VIRTUAL or plan.get_external_count():
            raise ValueError("a dataset is kept in another file, which is not read")
        if layout == h5d.CHUNKED:
            _check_chunks(dataset, plan)
    elif dataset.get_storage_size() > MOST_DATASET_BYTES:
        raise ValueError(f"expected a dataset of at most {MOST_DATASET_BYTES} bytes, got {dataset.get_storage_size()}")
    return dataset


def _check_chunks(dataset: h5d.DatasetID, plan: Any) -> None:
    """Refuses chunks that are more than they say: HDF5 inflates all that there is."""
    filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    if not set(filters) <= FILTERS or len(set(filters)) < len(filters):
        raise ValueError(f"expected filters shuffle, deflate and fletcher32, each once, got {filters}")
    size = np.prod(plan.get_chunk(), dtype=float) * dataset.get_type().get_size()
    stored: list[Any] = []
    dataset.chunk_iter(stored.append)
    if max([size, *(chunk.size for chunk in stored)]) > MOST_DATASET_BYTES:
        raise ValueError(f"expected chunks of at most {MOST_DATASET_BYTES} bytes, got {plan.get_chunk()} elements")
    if h5z.FILTER_DEFLATE not in filters:
        return
    skipped = 1 << filters.index(h5z.FILTER_DEFLATE)
    for chunk in stored:
        if not chunk.filter_mask & skipped:
            content = dataset.read_direct_chunk(chunk.chunk_offset)[1]
            if len(zlib.decompressobj().decompress(content, int(size) + 5)) > size + 4:  # a checksum may be part of it
                raise ValueError(f"expected a chunk of {int(size)} bytes, got one that inflates to more")
