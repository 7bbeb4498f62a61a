"""House numbers made of digits, on the disk as SVHN is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from filelock import FileLock

from stn_lightning.data._drawn.drawing import draw_house_numbers
from stn_lightning.data._drawn.layouts import sample_layouts
from stn_lightning.data._image_cache import short_hash
from stn_lightning.data._seeds import derived_seed
from stn_lightning.data._sources import download_mnist, read_embedded_digits, read_mnist
from stn_lightning.data._svhn.reading import has_numbers

DigitSource = Literal["digits", "mnist"]
VERSION = 1  # of what is drawn


def generated_folder(root: str | Path, split: str, count: int, digits: DigitSource, seed: int) -> Path:
    """Where the house numbers of these arguments lie, drawn or not."""
    key = {"split": split, "count": count, "digits": digits, "seed": seed, "version": VERSION}
    return Path(root).absolute() / "house_numbers" / f"{split}-{short_hash(key)}"


def draw(root: str | Path, split: str, count: int, digits: DigitSource, seed: int, download: bool) -> None:
    """Draws the house numbers of a split where they are not there.

    Args:
        root: folder of data.
        split: ``train`` or ``test``; of digits, too, of other writers.
        count: images.
        digits: what the numbers are made of.
        seed: of layouts and drawing.
        download: fetch MNIST where it is asked for and missing.

    Raises:
        FileNotFoundError: if MNIST is asked for and not there.
    """
    folder = generated_folder(root, split, count, digits, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / ".lock"):
        if has_numbers(folder):
            return
        for stale in folder.parent.glob(".*.part"):
            shutil.rmtree(stale)
        if digits == "mnist" and download:
            download_mnist(root)
        images = (read_mnist(root, "--data.digits=digits") if digits == "mnist" else read_embedded_digits())[split]
        number = ("train", "test").index(split)
        layouts = sample_layouts(count, derived_seed("layouts", seed, number))
        draw_house_numbers(folder, layouts, images, derived_seed("drawing", seed, number))
