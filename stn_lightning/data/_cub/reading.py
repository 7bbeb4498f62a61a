"""CUB-200-2011 (Wah et al. 2011) as its lists describe it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stn_lightning.data._bounds import LONGEST_NAME, MOST_LINES, MOST_NAMES
from stn_lightning.data._cub.lists import complete, flag, identity, keyed, numbers, rows

IMAGES, CLASSES = "images.txt", "classes.txt"


class Birds(NamedTuple):
    """N images of C classes with P parts.

    Attributes:
        folder: where the lists lie.
        names: of the image files, relative to ``folder/images``, in the order of ``images.txt``.
        targets: (N,) classes, from 0.
        training: (N,) whether an image is for training; else it is for test.
        boxes: (N, 4) left, top, width, height in pixels.
        parts: (N, P, 3) x and y in pixels, and 1 where the part is visible, else 0.
        class_names: of the classes.
        part_names: of the parts.
    """

    folder: Path
    names: list[str]
    targets: NDArray[np.int64]
    training: NDArray[np.bool_]
    boxes: NDArray[np.float64]
    parts: NDArray[np.float64]
    class_names: list[str]
    part_names: list[str]


def read_birds(folder: Path) -> Birds:
    """Reads all lists of a folder.

    Raises:
        FileNotFoundError: if a list is missing.
        ValueError: if one is damaged, or disagrees with another; names file and line.
    """
    names = keyed(folder / IMAGES, 2, _name)
    if not names:
        raise ValueError(f"{folder / IMAGES}: expected at least one image, got none")
    ids, files = list(names), Counter(names.values())
    if twice := [name for name, count in files.items() if count > 1]:
        raise ValueError(f"{folder / IMAGES}: {twice[0]} is there a second time")
    class_names = read_names(folder / CLASSES)
    part_names = read_names(folder / "parts" / "parts.txt")
    labels, split = folder / "image_class_labels.txt", folder / "train_test_split.txt"
    boxes = folder / "bounding_boxes.txt"
    read_target = partial(_class, classes=range(1, len(class_names) + 1))
    return Birds(
        folder,
        list(names.values()),
        np.array(complete(keyed(labels, 2, read_target, names), ids, labels), np.int64),
        np.array(complete(keyed(split, 2, _training, names), ids, split)),
        np.array(complete(keyed(boxes, 5, _box, names), ids, boxes)),
        _parts(folder / "parts" / "part_locs.txt", ids, len(part_names)),
        class_names,
        part_names,
    )


def read_names(file: Path) -> list[str]:
    """The names of ids 1, 2, 3, ... in a list.

    Raises:
        FileNotFoundError: if there is no list.
        ValueError: for other ids, none, more than 10,000, or a name that is no printable text of at most 255 characters.
    """
    names = keyed(file, 2, _title, most=MOST_NAMES)
    if not names or set(names) != set(range(1, len(names) + 1)):
        raise ValueError(f"{file}: expected ids 1, 2, 3, ... without a gap, got {len(names)} up to {max(names, default=0)}")
    return [names[number] for number in range(1, len(names) + 1)]


def check_images(birds: Birds) -> None:
    """Sees whether the image files are there.

    Raises:
        FileNotFoundError: names the first that is not, and how many are missing.
    """
    there: dict[str, set[str]] = {}
    missing = []
    for i, name in enumerate(birds.names):
        folder, _, file = name.rpartition("/")
        if folder not in there:
            place = birds.folder / "images" / folder
            there[folder] = set(os.listdir(place)) if place.is_dir() else set()
        if file not in there[folder]:
            missing.append(i)
    if missing:
        i, count = missing[0], len(birds.names)
        more = f"; {len(missing)} of {count} images are missing" if len(missing) > 1 else ""
        raise FileNotFoundError(f"no {birds.folder / 'images' / birds.names[i]}, which is item {i + 1} of {IMAGES}{more}")


def _name(place: str, cells: Sequence[str]) -> str:
    path = PurePosixPath(cells[0])
    if path.is_absolute() or ".." in path.parts or "\\" in cells[0] or not cells[0].isprintable() or not path.name:
        raise ValueError(f"{place}: expected the path of an image below images/, got {cells[0][:80]!r}")
    return str(path)


def _title(place: str, cells: Sequence[str]) -> str:
    if not cells[0].isprintable() or len(cells[0]) > LONGEST_NAME:
        raise ValueError(f"{place}: expected a name of at most {LONGEST_NAME} printable characters, got {cells[0][:80]!r}")
    return cells[0]


def _class(place: str, cells: Sequence[str], classes: range) -> int:
    number = identity(place, cells[0])
    if number not in classes:
        raise ValueError(f"{place}: expected a class of {CLASSES}, 1 to {len(classes)}, got {number}")
    return number - 1


def _training(place: str, cells: Sequence[str]) -> bool:
    return flag(place, cells[0], "whether it is a training image")


def _box(place: str, cells: Sequence[str]) -> list[float]:
    box = numbers(place, " ".join(cells).split(), "left, top, width and height")
    if len(box) != 4 or min(box[2:]) <= 0:
        raise ValueError(f"{place}: expected left, top, width and height of a box, got {' '.join(cells)[:80]!r}")
    return box


def _parts(file: Path, images: Sequence[int], count: int) -> NDArray[np.float64]:
    row = {number: i for i, number in enumerate(images)}
    parts: Container[int] = range(1, count + 1)
    if len(row) * count > MOST_LINES:
        raise ValueError(f"{file}: expected at most {MOST_LINES} parts in all, got {count} of each of {len(row)} images")
    found = np.full((len(row), count, 3), np.nan)
    for place, (image, part, x, y, visible) in rows(file, 5):
        at = row[identity(place, image, row)], identity(place, part, parts, "parts.txt") - 1
        if not np.isnan(found[at][2]):
            raise ValueError(f"{place}: part {part} of image {image} is there a second time")
        found[at] = *numbers(place, (x, y), "x and y"), flag(place, visible, "whether the part is visible")
    without = np.argwhere(np.isnan(found[:, :, 2]))
    if len(without):
        i, part = without[0]
        raise ValueError(f"{file}: expected {count} parts of each image, got no part {part + 1} of image {images[i]}")
    return found
