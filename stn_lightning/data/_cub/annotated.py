"""Images of birds with all that is known of them, as they are seen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stn_lightning.data._batches import Named
from stn_lightning.data._cub.reading import Birds
from stn_lightning.data._decoding import read_image
from stn_lightning.data._seeds import derived_seed
from stn_lightning.data._views import Framing, View, see
from stn_lightning.data._worker_batches import Ask


class Annotated(NamedTuple):
    """A batch of images with targets, parts and boxes.

    Coordinates are those of the square that is seen: its outer edges are -1 and 1 (``align_corners=False``).

    Attributes:
        image: (B, 3, S, S) in [0, 1].
        target: (B,) classes.
        parts: (B, P, 3) x, y, and 1 where the part is visible and lies in the square; else all three are 0.
        box: (B, 4) left, top, right, bottom; it may leave the square.
    """

    image: Tensor
    target: Tensor
    parts: Tensor
    box: Tensor


class AnnotatedImages:
    """Reads images of birds.

    Args:
        birds: of a set.
        chosen: (N,) which of its images.
        framing: how they become squares.
        seed: of what is by chance; None for the squares in the middle.
    """

    def __init__(self, birds: Birds, chosen: NDArray[np.int64], framing: Framing, seed: int | None = None) -> None:
        self.birds, self.chosen, self.framing, self.seed = birds, chosen, framing, seed
        self.mirrored = mirrored(birds.part_names)

    def __call__(self, ask: Ask) -> Annotated:
        """The image of a number with what is known of it; its values are uint8.

        Raises:
            ValueError: if its file is damaged; names it.
        """
        number = int(self.chosen[ask.item])
        draw = None if self.seed is None else np.random.default_rng(derived_seed("view", self.seed, *ask))
        birds = self.birds
        item = f"item {number + 1} of images.txt"
        square, view = read_image(
            birds.folder / "images" / birds.names[number], lambda image: see(image, self.framing, draw), item
        )
        return Annotated(
            torch.from_numpy(square),
            torch.tensor(birds.targets[number]),
            torch.from_numpy(seen_parts(birds.parts[number], view, self.mirrored)),
            torch.from_numpy(seen_box(birds.boxes[number], view)),
        )


def stacked(items: Sequence[Annotated]) -> Annotated:
    """A batch of items."""
    return Annotated(*(torch.stack(parts) for parts in zip(*items, strict=True)))


def mirrored(part_names: Sequence[str]) -> list[int]:
    """Which part each part becomes in a mirror: the left eye the right one.

    A mirrored photograph shows a bird that lifts the other wing: whoever sees nothing but the image calls that wing the
    right one.
    """
    place = {name: i for i, name in enumerate(part_names)}
    swap = {"left": "right", "right": "left"}
    others = (" ".join(swap.get(word, word) for word in name.split(" ")) for name in part_names)
    return [place.get(other, i) for i, other in enumerate(others)]


def seen_parts(parts: NDArray[np.float64], view: View, mirror: Sequence[int]) -> NDArray[np.float32]:
    """Parts (P, 3), in pixels of the image, as ``Annotated`` has them.

    Args:
        parts: x, y and whether visible.
        view: what is seen of the image.
        mirror: which part each becomes where the view is mirrored.
    """
    points = view.normalised(parts[:, :2])
    visible = (parts[:, 2] > 0) & (abs(points) <= 1).all(1)
    seen = np.where(visible[:, None], np.column_stack([points, visible]), 0).astype(np.float32)
    return seen[list(mirror)] if view.flip else seen


def seen_box(box: NDArray[np.float64], view: View) -> NDArray[np.float32]:
    """A box (left, top, width, height), in pixels of the image, as ``Annotated`` has it."""
    corners = view.normalised(np.array([box[:2], box[:2] + box[2:]]))
    return np.concatenate([corners.min(0), corners.max(0)]).astype(np.float32)


class NamedImages:
    """Reads images of files, with their names.

    Args:
        files: of the images.
        names: of the images.
        framing: how they become squares.
    """

    def __init__(self, files: Sequence[Path], names: Sequence[str], framing: Framing) -> None:
        self.files, self.names, self.framing = files, names, framing

    def __call__(self, ask: Ask) -> Named:
        """The image of a number (C, S, S) and its name.

        Raises:
            ValueError: if its file is damaged; names it.
        """
        square, _ = read_image(self.files[ask.item], partial(see, framing=self.framing, draw=None))
        return Named(torch.from_numpy(square), [self.names[ask.item]])


def stacked_named(items: Sequence[Named]) -> Named:
    """A batch of items."""
    return Named(torch.stack([item.image for item in items]), [name for item in items for name in item.name])
