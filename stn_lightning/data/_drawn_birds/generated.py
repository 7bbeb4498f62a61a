"""Drawn birds, on the disk as CUB-200-2011 is."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from stn_lightning.data._content import in_order, sync
from stn_lightning.data._cub.reading import CLASSES, IMAGES
from stn_lightning.data._drawn_birds.figure import PARTS, Figure
from stn_lightning.data._drawn_birds.kinds import MOST_CLASSES, Kind, kinds
from stn_lightning.data._drawn_birds.picture import draw_bird
from stn_lightning.data._image_cache import short_hash
from stn_lightning.data._seeds import derived_seed

__all__ = ["MOST_CLASSES", "draw", "generated_folder"]
VERSION = 1  # of what is drawn
QUALITY = 92


class _Place(NamedTuple):
    number: int
    target: int
    name: str
    training: bool


def generated_folder(root: str | Path, classes: int, images: tuple[int, int], side: int, seed: int) -> Path:
    """Where the birds of these arguments lie, drawn or not."""
    key = {"classes": classes, "images": list(images), "side": side, "seed": seed, "version": VERSION}
    return Path(root).absolute() / "birds" / short_hash(key)


def draw(root: str | Path, classes: int, images: tuple[int, int], side: int, seed: int) -> None:
    """Draws birds where they are not there.

    An image is a function of (seed, class, its number in the class, side) alone.

    Args:
        root: folder of data.
        classes: how many.
        images: of each class, for training and for test.
        side: of an image in pixels.
        seed: of all that is by chance.
    """
    folder = generated_folder(root, classes, images, side, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / ".lock"):
        if folder.is_dir():
            return
        for stale in folder.parent.glob("*.partial"):
            shutil.rmtree(stale)
        partial_folder = folder.with_suffix(".partial")
        try:
            _write(partial_folder, kinds(classes), images, side, seed)
            partial_folder.rename(folder)
            sync(folder.parent)
        finally:
            shutil.rmtree(partial_folder, ignore_errors=True)


def _write(folder: Path, of: list[Kind], images: tuple[int, int], side: int, seed: int) -> None:
    places, titles = [], [f"{k:03}.{kind.name}" for k, kind in enumerate(of, 1)]
    for target, title in enumerate(titles):
        (folder / "images" / title).mkdir(parents=True)
        for i in range(sum(images)):
            name = f"{title}/{of[target].name}_{i + 1:04}.jpg"
            places.append(_Place(i, target, name, i < images[0]))
    jobs = [partial(_draw_one, folder / "images" / place.name, of[place.target], place, side, seed) for place in places]
    figures = list(tqdm(in_order(jobs), "birds", len(jobs), unit=" images", disable=None))
    lists: dict[str, list[str]] = {
        IMAGES: [place.name for place in places],
        "image_class_labels.txt": [str(place.target + 1) for place in places],
        "train_test_split.txt": [str(int(place.training)) for place in places],
        "bounding_boxes.txt": [_box(figure) for figure in figures],
        CLASSES: titles,
        "parts/parts.txt": list(PARTS),
    }
    (folder / "parts").mkdir()
    for file, rows in lists.items():
        (folder / file).write_text("".join(f"{i} {row}\n" for i, row in enumerate(rows, 1)))
    parts = (
        f"{i} {part} {x:.3f} {y:.3f} {visible:.0f}\n"
        for i, figure in enumerate(figures, 1)
        for part, (x, y, visible) in enumerate(figure.parts, 1)
    )
    (folder / "parts" / "part_locs.txt").write_text("".join(parts))


def _draw_one(file: Path, kind: Kind, place: _Place, side: int, seed: int) -> Figure:
    chance = np.random.default_rng(derived_seed("bird", seed, place.target, place.number))
    image, figure = draw_bird(kind, side, chance)
    image.save(file, "JPEG", quality=QUALITY, subsampling=0)
    hidden = figure.parts[:, 2:] == 0
    return figure._replace(parts=np.where(hidden, 0.0, figure.parts))


def _box(figure: Figure) -> str:
    left, top, right, bottom = figure.box()
    return f"{left:.3f} {top:.3f} {right - left:.3f} {bottom - top:.3f}"
