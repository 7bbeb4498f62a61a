"""MNIST's files, CUB's lists and class folders that lie."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from _faults.hostile.file import HostileFile
from stn_lightning.data._class_folders import list_files
from stn_lightning.data._cub.reading import check_images, read_birds
from stn_lightning.data._sources import MNIST_FILES, read_mnist

IMAGES, LABELS = MNIST_FILES["train"]


def mnist(folder: Path) -> Path:
    """Twenty small images in the true format, and as many to test."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for images, labels in MNIST_FILES.values():
        (raw / images).write_bytes(struct.pack(">4I", 0x803, 20, 28, 28) + bytes(20 * 784))
        (raw / labels).write_bytes(struct.pack(">2I", 0x801, 20) + bytes(20))
    return raw


def _file(name: str, content: bytes, folder: Path) -> Path:
    (mnist(folder) / name).write_bytes(content)
    return folder


def _long(name: str, head: bytes, size: int, folder: Path) -> Path:
    _file(name, head, folder)
    os.truncate(folder / "MNIST" / "raw" / name, size)
    return folder


def _pipe(folder: Path) -> Path:
    file = mnist(folder) / IMAGES
    file.unlink()
    os.mkfifo(file)
    return folder


def _packed_alone(folder: Path) -> Path:
    for file in mnist(folder).iterdir():
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(bytes(10 << 20)))
        file.unlink()
    return folder


def _head(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


MNIST: list[tuple[str, Callable[[Path], Path], str]] = [
    ("another magic number", partial(_file, IMAGES, _head(0xD03, 20, 28, 28) + bytes(20 * 784)), IMAGES),
    ("a count that lies", partial(_file, IMAGES, _head(0x803, 60_000, 28, 28) + bytes(20 * 784)), IMAGES),
    ("the largest count", partial(_file, LABELS, _head(0x801, 2**32 - 1) + bytes(20)), LABELS),
    ("sides that lie", partial(_file, IMAGES, _head(0x803, 20, 2**16, 2**16) + bytes(20 * 784)), IMAGES),
    ("images of 14x56", partial(_file, IMAGES, _head(0x803, 20, 14, 56) + bytes(20 * 784)), IMAGES),
    ("label 200", partial(_file, LABELS, _head(0x801, 20) + bytes(19) + b"\xc8"), LABELS),
    ("bytes behind its end", partial(_file, LABELS, _head(0x801, 20) + bytes(21)), LABELS),
    ("a gzip bomb in its place", lambda folder: _file(IMAGES, gzip.compress(bytes(50 << 20)), folder), IMAGES),
    ("60,000 forged images", partial(_long, IMAGES, _head(0x803, 60_000, 28, 28), 47_040_016), IMAGES),
    ("100 GB", partial(_long, IMAGES, _head(0x803, 127_551_020, 28, 28), 100 << 30), IMAGES),
    ("pipe", _pipe, IMAGES),
    ("gzip bombs beside", _packed_alone, LABELS),
]


def cub(folder: Path) -> Path:
    """Four images of two classes, with two parts."""
    (folder / "parts").mkdir()
    (folder / "images").mkdir()
    ids = range(1, 5)
    for i in ids:
        Image.new("RGB", (32, 32)).save(folder / "images" / f"{i}.jpg")
    lists = {
        "images": [f"{i} {i}.jpg" for i in ids],
        "image_class_labels": [f"{i} {1 + i % 2}" for i in ids],
        "train_test_split": [f"{i} {i % 2}" for i in ids],
        "bounding_boxes": [f"{i} 1 1 20 20" for i in ids],
        "classes": ["1 a", "2 b"],
        "parts/parts": ["1 beak", "2 tail"],
        "parts/part_locs": [f"{i} {part} 3 4 1" for i in ids for part in (1, 2)],
    }
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines))
    return folder


def _line(name: str, text: str, folder: Path) -> Path:
    file = cub(folder) / f"{name}.txt"
    lines = file.read_text().split("\n")
    file.write_text("\n".join([text, *lines[1:]]))
    return folder


def _names(count: int, folder: Path) -> Path:
    (cub(folder) / "parts" / "parts.txt").write_text("\n".join(f"{i} part" for i in range(1, count + 1)))
    return folder


def _sparse(folder: Path) -> Path:
    os.truncate(cub(folder) / "images.txt", 10 << 30)
    return folder


def _birds(folder: Path) -> None:
    check_images(read_birds(folder))


CUB: list[tuple[str, Callable[[Path], Path], str]] = [
    ("an image above its folder", partial(_line, "images", "1 ../../secret.jpg"), "images.txt:1"),
    ("an image of an absolute name", partial(_line, "images", "1 /etc/hostname"), "images.txt:1"),
    ("an image that a terminal obeys", partial(_line, "images", "1 \x1b[2J.jpg"), "images.txt:1"),
    ("an image there twice", partial(_line, "images", "1 2.jpg"), "images.txt: 2.jpg"),
    ("an id of 4,000 digits", partial(_line, "images", f"{'9' * 4000} 1.jpg"), "images.txt:1"),
    ("an unknown id", partial(_line, "train_test_split", "9 1"), "train_test_split.txt:1"),
    ("a box of nan", partial(_line, "bounding_boxes", "1 nan 1 2 2"), "bounding_boxes.txt:1"),
    ("a box of 1e300", partial(_line, "bounding_boxes", "1 1 1 1e300 2"), "bounding_boxes.txt:1"),
    ("a box of a negative width", partial(_line, "bounding_boxes", "1 1 1 -2 2"), "bounding_boxes.txt:1"),
    ("a part of inf", partial(_line, "parts/part_locs", "1 1 inf 4 1"), "part_locs.txt:1"),
    ("10,001 parts", partial(_names, 10_001), "parts.txt:10001"),
    ("10,000 parts of nobody", partial(_names, 10_000), "part_locs.txt"),
    ("a list of 10 GB", _sparse, "images.txt has"),
]


def classes(folder: Path) -> Path:
    """Three images of each of two classes."""
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for i in range(3):
            Image.new("RGB", (8, 8)).save(folder / name / f"{i}.png")
    return folder


def _link(link: str, target: str, folder: Path) -> Path:
    (classes(folder) / link).symlink_to(target)
    return folder


def _many_links(folder: Path) -> Path:
    classes(folder)
    for i in range(40):
        (folder / "cat" / f"{i}a").symlink_to(".")
    return folder


def _named(folder: Path) -> Path:
    (classes(folder) / "dog").rename(folder / "\x1b[2Jdog")
    return folder


def _listed(folder: Path) -> object:
    return list_files(folder, {"val": 0.1, "test": 0.1}, 0)


FOLDERS: list[tuple[str, Callable[[Path], Path], str]] = [
    ("a link to the root", partial(_link, "cat/all", ".."), "cat/all"),
    ("40 links to themselves", _many_links, "is a link to"),
    ("a class in another", partial(_link, "cat/more", "../dog"), "expected each folder of images once"),
    ("a class that a terminal obeys", _named, r"\x1b[2Jdog"),
]
FILES = [HostileFile(f"MNIST: {name}", make, read_mnist, says) for name, make, says in MNIST]
FILES += [HostileFile(f"CUB: {name}", make, _birds, says) for name, make, says in CUB]
FILES += [HostileFile(f"class folders: {name}", make, _listed, says) for name, make, says in FOLDERS]
