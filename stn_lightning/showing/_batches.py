"""What is shown to a task: the test set of its data, or a folder of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from stn_lightning.data import Named
from stn_lightning.data._cub.annotated import NamedImages, stacked_named
from stn_lightning.data._decoding import image_files
from stn_lightning.data._distorted_digits import scaled
from stn_lightning.data._views import Framing
from stn_lightning.data._worker_batches import Ask

BATCH = 32


def tested_batches(data: Any) -> Iterator[Any]:
    """The test batches of a data module, as its task sees them."""
    return _batches(data, "test")


def folder_batches(data: Any | None, folder: Path, input_shape: Sequence[int]) -> Iterator[Any]:
    """Batches of the images in a folder, with their names.

    Data that can predict a folder (their argument ``images``) read it as ``stn predict`` does. Other images are resized so
    that their smallest side is that of the network, which sees the square in the middle.

    Args:
        data: the data module of the run; None where it is not known.
        folder: of PNG, JPEG, BMP and WEBP files.
        input_shape: (C, H, W) of what the network sees.

    Raises:
        ValueError: for a damaged image, which is named, or a network that sees no grey or coloured squares.
        FileNotFoundError: if there is no such folder, or no image in it.
    """
    if data is not None and hasattr(data, "images"):
        data.images = str(folder)
        yield from _batches(data, "predict")
        return
    channels, height, *others = input_shape
    if channels not in (1, 3) or others != [height]:
        raise ValueError(f"--images: expected a network of squares of 1 or 3 channels, got one of {tuple(input_shape)}")
    files = image_files(folder)
    read = NamedImages(files, [file.name for file in files], Framing(height, height, channels, upright=True))
    for start in range(0, len(files), BATCH):
        batch = stacked_named([read(Ask(0, i)) for i in range(start, min(start + BATCH, len(files)))])
        yield Named(scaled(batch.image), batch.name)


def _batches(data: Any, stage: str) -> Iterator[Any]:
    data.prepare_data()
    data.setup(stage)
    try:
        for batch in getattr(data, f"{stage}_dataloader")():
            batch = data.on_before_batch_transfer(batch, 0)
            yield data.on_after_batch_transfer(data.transfer_batch_to_device(batch, torch.device("cpu"), 0), 0)
    finally:
        data.teardown(stage)
