"""Predictions as pictures."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from stn_lightning.callbacks._drawing import GAP, captions, cells, legend, row, stacked
from stn_lightning.callbacks._in_a_row import half_pixel, has_align_corners, in_a_row, paths, seen
from stn_lightning.callbacks._pictures import with_path
from stn_lightning.callbacks._predictions import FILE, rows
from stn_lightning.callbacks._run_files import of_process, run_folder, whole_file
from stn_lightning.networks import Output

LONGEST_NAME = 50  # characters; a name of them and a number is below the 255 bytes of a file system
TITLE_HEIGHT = 20


class PredictionPictures(Callback):
    """Draws the first images of ``predict``: a PNG an image in ``pictures`` in the folder of the run.

    It shows the image; the image with the outline after each spatial transformer, that of their product thicker; the image as
    the product samples it, which is what the deepest layer looks at; and what is predicted. A network without transformers
    leaves none.

    The name is that of the image's file where the predictions have it as ``file``, else the number of the image. What a file
    system may refuse becomes ``_``, and a name that is taken gets a number. Under several processes each writes those of its
    images that are among the first to its own ``pictures_RANK``. These images go through the network a second time.

    Args:
        num_images: how many images are drawn; 0 for none.
        side: height and width of each cell, in pixels.

    Raises:
        ValueError: for a negative ``num_images``, or a ``side`` below 1.
    """

    def __init__(self, num_images: int = 16, side: int = 216) -> None:
        if num_images < 0 or side < 1:
            raise ValueError(f"expected num_images of at least 0 and side of at least 1, got {num_images=}, {side=}")
        self.num_images = num_images
        self.side = side
        self._next = 0
        self._names: set[str] = set()
        self._folder = Path()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._next, self._names = trainer.global_rank, set()
        self._folder = run_folder(trainer) / of_process("pictures", trainer)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        indices = range(self._next, self.num_images, trainer.world_size)
        if dataloader_idx or not indices or not isinstance(outputs, Mapping):
            return
        images = (batch if isinstance(batch, Tensor) else batch[0])[: len(indices)]
        self._next += trainer.world_size * len(images)
        output = pl_module(images)
        order = in_a_row(output.warps) if isinstance(output, Output) else []
        if not order:
            self._next = self.num_images
            return
        images = images.float().cpu()
        warps = half_pixel(images, output.warps, has_align_corners(pl_module))
        outlines = paths(images, {name: warps[name] for name in order})
        for i, (image, index, predicted) in enumerate(zip(images, indices, rows(outputs), strict=False)):
            file = predicted.pop(FILE, None)
            words = ", ".join(f"{key} {_in_words(value)}" for key, value in predicted.items())
            title = f"{words} ({file or f'image {index}'})"
            picture = prediction_picture(image, {step: path[i] for step, path in outlines.items()}, title, self.side)
            with whole_file(self._folder / f"{self._free_name(file or str(index), index)}.png") as stream:
                Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(stream, "png")

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._names and trainer.global_rank == 0:
            trainer.print(f"pictures: {self._folder}")

    def _free_name(self, file: str, index: int) -> str:
        name = start = safe_stem(file) or str(index)
        number = 2
        while name.casefold() in self._names:  # some file systems hold a.png and A.png for one
            name, number = f"{start}_{number}", number + 1
        self._names.add(name.casefold())
        return name


def prediction_picture(image: Tensor, outlines: Mapping[str, Tensor], title: str, side: int = 216) -> Tensor:
    """Side by side: an image, the image with the outline after each transformer, and what the deepest layer looks at.

    Args:
        image: (C, H, W) in [0, 1].
        outlines: for each transformer in a row (H', W', 2) points of the image, as ``paths`` gives them.
        title: what stands above.
        side: height and width of each cell, in pixels.

    Returns:
        (3, H'', W'') uint8 picture, with a legend below.
    """
    grids = {name: path[None] for name, path in outlines.items()}
    plain = cells(image[None], side)
    drawn, colours = with_path(plain, grids)
    sampled = cells(seen(image[None], list(grids.values())[-1]), side)
    pictures = row(torch.cat([plain, drawn, sampled]))
    width = pictures.shape[2]
    return stacked([captions([title], width - GAP, TITLE_HEIGHT), pictures, legend(colours, width, TITLE_HEIGHT)])


def safe_stem(file: str) -> str:
    """The stem of a file's name with nothing that a file system may refuse; empty where nothing is left."""
    stem = unicodedata.normalize("NFC", PurePosixPath(file).stem)
    return re.sub(r"[^\w.-]", "_", stem)[:LONGEST_NAME].strip(".")


def _in_words(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
