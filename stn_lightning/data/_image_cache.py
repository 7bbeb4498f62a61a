"""A cache of decoded images: files that are mapped into memory, so that training pages in what it needs and no more."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from stn_lightning.data._bounds import MOST_TABLE_BYTES
from stn_lightning.data._content import digests, in_order, sync

VERSION = 1
MANIFEST, IMAGES, LABELS, MOMENTS, NAMES = "manifest.json", "images.bin", "labels.bin", "moments.bin", "names.json"
log = logging.getLogger(__name__)
TYPES: dict[str, np.dtype[Any]] = {IMAGES: np.dtype(np.uint8), LABELS: np.dtype(np.int64), MOMENTS: np.dtype(np.int64)}
_checked: set[tuple[object, ...]] = set()


class Item(NamedTuple):
    """An image (C, H, W) uint8, its labels, each of at least 0, and its name."""

    image: NDArray[np.uint8]
    labels: tuple[int, ...]
    name: str


class ImageCache(NamedTuple):
    """An opened cache.

    Attributes:
        images: (N, C, H, W) uint8, mapped into memory; writing to it does not reach the file.
        labels: (N, L) int64; -1 behind the last of an image.
        moments: (N, 2, C) int64: sums of an image's values and of their squares, channel by channel.
        names: of the images.
    """

    images: Tensor
    labels: Tensor
    moments: Tensor
    names: list[str]


class DamagedCacheError(Exception):
    """A cache is not there, or not what it was when it was built."""


def build(
    folder: Path,
    key: Mapping[str, Any],
    jobs: Callable[[], Sequence[Callable[[], Item]]],
    title: str = "images",
    check: bool = True,
) -> ImageCache:
    """Opens the cache of a key, building it where there is none, or where it is damaged.

    A cache is built in a folder beside, and renamed when it is whole; a lock makes others wait meanwhile.

    Args:
        folder: of all caches; each has a folder of its own in it, named after its key.
        key: all that the images depend on, as plain data.
        jobs: called where there is something to build; its items are called in several threads at once, and their images
            are of one shape.
        title: of the progress bar and messages.
        check: read all of a cache that lies there, once in a process, to see whether it is what was built; else look at its
            sizes alone.

    Raises:
        ValueError: if there is no image, or they differ in shape.
    """
    key = {**key, "cache": VERSION}
    place = folder / short_hash(key)
    if place.is_dir():
        try:
            return _open(place, key, check)
        except DamagedCacheError as e:
            log.warning("%s is damaged (%s) and built anew", place, e)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        log.warning("%s: another process builds; waiting for it", folder)
        held = lock.acquire()
    with held:
        with suppress(DamagedCacheError):
            return _open(place, key, check)  # another process may have built it
        for stale in folder.glob("*.partial"):
            shutil.rmtree(stale)
        partial = place.with_suffix(".partial")
        try:
            _write(partial, key, jobs(), title)
            shutil.rmtree(place, ignore_errors=True)
            place.unlink(missing_ok=True)  # a file of that name is none of ours
            partial.rename(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        sync(folder)
        return _open(place, key, check)


def short_hash(key: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that stand for plain data."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]


def _open(folder: Path, key: Mapping[str, Any], check: bool) -> ImageCache:
    try:
        manifest = _table(folder / MANIFEST)
        count, channels, *_ = shape = [int(n) for n in manifest["shape"]]
        if min(shape) < 1:
            raise ValueError(f"expected a shape above 0, got {shape}")
        shapes = {IMAGES: shape, LABELS: [count, int(manifest["labels"])], MOMENTS: [count, 2, channels]}
        stats = {name: (folder / name).stat() for name in (*shapes, NAMES)}
        same_key = manifest["key"] == json.loads(json.dumps(key))
        names = _table(folder / NAMES)
        expected: dict[str, list[str]] = {name: list(manifest["files"][name]) for name in stats}
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as e:
        raise DamagedCacheError(f"{type(e).__name__}: {e}") from e
    if not same_key or len(names) != count:
        raise DamagedCacheError(f"{MANIFEST} is of another cache")
    for name, shape in shapes.items():
        if stats[name].st_size != prod(shape) * TYPES[name].itemsize:
            raise DamagedCacheError(f"{name} has {stats[name].st_size} bytes")
    state = (folder.resolve(), *((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats.values()))
    if check and state not in _checked:
        for name, digest in expected.items():
            if digests(folder / name) != digest:
                raise DamagedCacheError(f"{name} is not what was written")
        _checked.add(state)
    images, labels, moments = (np.memmap(folder / name, TYPES[name], "c", shape=tuple(n)) for name, n in shapes.items())
    return ImageCache(torch.from_numpy(images), torch.from_numpy(labels), torch.from_numpy(moments), names)


def _table(file: Path) -> Any:
    if not file.is_file() or file.stat().st_size > MOST_TABLE_BYTES:  # a pipe would be waited for
        raise ValueError(f"{file.name} is no file of at most {MOST_TABLE_BYTES} bytes")
    return json.loads(file.read_text())


def _write(folder: Path, key: Mapping[str, Any], jobs: Sequence[Callable[[], Item]], title: str) -> None:
    folder.mkdir()
    labels: list[tuple[int, ...]] = []
    names: list[str] = []
    shape: tuple[int, ...] | None = None
    with (folder / IMAGES).open("wb") as images, (folder / MOMENTS).open("wb") as moments:
        for item in tqdm(in_order(jobs), title, len(jobs), unit=" images", disable=None):
            shape = shape or item.image.shape
            if item.image.shape != shape:
                raise ValueError(f"expected images of one shape, got {shape} and then {item.image.shape} ({item.name})")
            images.write(item.image.tobytes())
            values = item.image.reshape(len(item.image), -1).astype(np.int64)
            moments.write(np.stack([values.sum(1), (values**2).sum(1)]).tobytes())
            labels.append(item.labels)
            names.append(item.name)
    if shape is None:
        raise ValueError(f"expected at least one image, got none ({title})")
    table = np.full((len(labels), max(1, *map(len, labels))), -1, np.int64)
    for row, values in zip(table, labels, strict=True):
        row[: len(values)] = values
    (folder / LABELS).write_bytes(table.tobytes())
    (folder / NAMES).write_text(json.dumps(names))
    files = {file: digests(folder / file) for file in (IMAGES, LABELS, MOMENTS, NAMES)}
    manifest = {"key": key, "shape": [len(names), *shape], "labels": table.shape[1], "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    for file in (*files, MANIFEST, ""):
        sync(folder / file)
