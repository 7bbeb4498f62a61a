"""Predictions as pictures."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from stn_lightning._files import whole_file
from stn_lightning.callbacks._drawing import GAP, as_image, in_bytes, row, shown, stacked
from stn_lightning.callbacks._in_a_row import half_pixel, has_align_corners, parallel, paths, seen
from stn_lightning.callbacks._predictions import FILE, rows
from stn_lightning.callbacks._run_files import of_process, run_folder
from stn_lightning.callbacks._text import captions, legend
from stn_lightning.callbacks._views import Views, part_views, path_views
from stn_lightning.networks import Output

LONGEST_NAME = 50  # characters; a name of them and a number is below the 255 bytes of a file system
TITLE_HEIGHT = 20


class PredictionPictures(Callback):
    """Draws the first images of ``predict``: a PNG an image in ``pictures`` in the folder of the run.

    It shows the image; the image with the outline after each spatial transformer, that of their product thicker; the image as
    the product samples it, which is what the deepest layer looks at; and what is predicted. The image as the product samples
    it, the rectified crop, is also a file of its own, ``crops/NAME.png`` beside ``pictures/NAME.png``, at the size of the
    deepest transformer's output. A network without transformers leaves none.

    Of parallel transformers it shows the image; the image with the window of each in a colour of its own; and what is in each
    window, in a frame of that colour. The K-th window's crop is ``crops/NAME_K.png``, at the size at which the network
    describes it. Crops are without frame and in the colours of the image (bilinear, black outside).

    The name is that of the image's file where the predictions have it as ``file``, else the number of the image. What a file
    system may refuse becomes ``_``, and a name that is taken gets a number. Under several processes each writes those of its
    images that are among the first to its own ``pictures_RANK`` and ``crops_RANK``. These images go through the network a
    second time.

    Args:
        num_images: how many images are drawn and cut; 0 for none.
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
        self._pictures, self._crops = Path(), Path()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._next, self._names = trainer.global_rank, set()
        folder = run_folder(trainer)
        self._pictures, self._crops = (folder / of_process(kind, trainer) for kind in ("pictures", "crops"))

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
        if not isinstance(output, Output) or not output.warps:
            self._next = self.num_images
            return
        images = images.float().cpu()
        warps = half_pixel(images, output.warps, has_align_corners(pl_module))
        parts = next(iter(parallel(images, warps).values()), {})
        outlines = {} if parts else paths(images, warps)
        views = part_views(images, parts, self.side) if parts else path_views(images, outlines, self.side)
        crops = {f"_{number}": part.output for number, part in parts.items()}
        if outlines:
            *_, product = outlines.values()
            crops[""] = seen(images, product)
        for i, (_, index, predicted) in enumerate(zip(images, indices, rows(outputs), strict=False)):
            file = predicted.pop(FILE, None)
            words = ", ".join(f"{key} {_in_words(value)}" for key, value in predicted.items())
            name = self._free_name(file or str(index), index)
            _save(self._pictures / f"{name}.png", titled(views, i, f"{words} ({file or f'image {index}'})"))
            for ending, crop in crops.items():
                _save(self._crops / f"{name}{ending}.png", in_bytes(shown(crop[i : i + 1]))[0])

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._names and trainer.global_rank == 0:
            for folder in (self._pictures, self._crops):
                if folder.is_dir():
                    trainer.print(f"{folder.name}: {folder}")

    def _free_name(self, file: str, index: int) -> str:
        name = start = safe_stem(file) or str(index)
        number = 2
        while name.casefold() in self._names:  # some file systems hold a.png and A.png for one
            name, number = f"{start}_{number}", number + 1
        self._names.add(name.casefold())
        return name


def titled(views: Views, i: int, title: str) -> Tensor:
    """The views of the i-th image of a batch side by side, a title above and a legend below: (3, H, W) uint8."""
    pictures = row(torch.stack([cells[i] for cells in views.cells]))
    width = pictures.shape[2]
    return stacked([captions([title], width - GAP, TITLE_HEIGHT), pictures, legend(views.colours, width, TITLE_HEIGHT)])


def safe_stem(file: str) -> str:
    """The stem of a file's name with nothing that a file system may refuse; empty where nothing is left."""
    stem = unicodedata.normalize("NFC", PurePosixPath(file).stem)
    return re.sub(r"[^\w.-]", "_", stem)[:LONGEST_NAME].strip(".")


def _in_words(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _save(file: Path, picture: Tensor) -> None:
    with whole_file(file) as stream:
        as_image(picture).save(stream, "png")
