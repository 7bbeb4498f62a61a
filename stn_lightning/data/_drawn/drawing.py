"""House numbers drawn into given boxes and written as SVHN's format 1."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from stn_lightning.data._drawn.layouts import Layout
from stn_lightning.data._drawn.scene import draw_house_number
from stn_lightning.data._seeds import derived_seed
from stn_lightning.data._sources import Digits
from stn_lightning.data._svhn.digit_struct import write_digit_struct
from stn_lightning.data._svhn.house_number import check_number


def draw_house_numbers(folder: Path, layouts: Sequence[Layout], digits: Digits, seed: int) -> None:
    """Draws house numbers made of images of digits; writes ``folder/*.png`` and ``folder/digitStruct.mat``.

    An image is a function of (its layout, its place, digits, seed) alone. The folder is made beside and renamed: it is
    whole or not there.

    Args:
        folder: new, or empty.
        layouts: at least one, whose names differ and end in ``.png``.
        digits: at least one image with ink of every class in the layouts.
        seed: 0 or more.

    Raises:
        ValueError: if the folder has files, or layouts, digits or seed are not as above.
    """
    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"expected a new or an empty folder, got {folder}")
    if seed < 0:
        raise ValueError(f"expected seed of 0 or more, got {seed}")
    _check_layouts(layouts)
    images = digits.images.numpy()[:, 0]
    of_class = _of_class(digits, {box.digit for layout in layouts for box in layout.number.boxes})
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        for i, layout in enumerate(tqdm(layouts, f"drawing {folder.name}", unit=" images", disable=None)):
            draw = np.random.default_rng(derived_seed("house number", seed, i))
            chosen = [images[draw.choice(of_class[box.digit])] for box in layout.number.boxes]
            image = draw_house_number(layout, chosen, draw)
            image.save(beside / layout.number.name, "PNG", compress_type=zlib.Z_RLE)  # 1.4 times as fast as zlib's default
        write_digit_struct(beside / "digitStruct.mat", [layout.number for layout in layouts])
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _check_layouts(layouts: Sequence[Layout]) -> None:
    names = {layout.number.name for layout in layouts}
    if not names or len(names) != len(layouts):
        raise ValueError(f"expected layouts of different names, at least one, got {len(layouts)} of {len(names)} names")
    for i, (number, size) in enumerate(layouts, 1):
        item = f"layout {i} of {len(layouts)} ({number.name[:80]!r})"
        try:
            check_number(number)
        except ValueError as e:
            raise ValueError(f"{item}: {e}") from e
        if not number.name.endswith(".png") or min(size) < 1:
            raise ValueError(f"{item}: expected a name that ends in .png and a size of at least 1x1, got size {size}")


def _of_class(digits: Digits, asked: set[int]) -> dict[int, NDArray[np.intp]]:
    """Where the images of each class are that have ink."""
    targets, inked = digits.targets.numpy(), digits.images.flatten(1).amax(1).numpy() > 0
    found = {digit: np.flatnonzero((targets == digit) & inked) for digit in sorted(asked)}
    missing = [digit for digit, where in found.items() if not len(where)]
    if missing:
        raise ValueError(f"digits: expected images of every class of the layouts, got none of {missing}")
    return found
