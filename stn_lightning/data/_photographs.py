"""What DataModules of image files share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from stn_lightning.data._batches import Named, place_of
from stn_lightning.data._bounds import LONGEST_SIDE
from stn_lightning.data._cub.annotated import Annotated, NamedImages, stacked_named
from stn_lightning.data._decoding import image_files
from stn_lightning.data._distorted_digits import scaled
from stn_lightning.data._epoch_order import EpochOrder
from stn_lightning.data._views import Framing
from stn_lightning.data._worker_batches import Ask, TrainingWorkerBatches, WorkerBatches, in_turn

Batch = TypeVar("Batch")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY_MEAN, GREY_STD = (0.449,), (0.226,)  # the means of the three


class Photographs(LightningDataModule):
    """Squares of image files that worker processes decode.

    Args:
        framing: how images become squares.
        batch_size: images in a batch of one process.
        num_workers: processes that decode images for each of training, validation, test and prediction.
        images: folder of images to predict, or None.
        seed: of the order and the random parts of training images; None for that of ``seed_everything``, or 0.
        evaluation_seed: of what is the same for everybody with the same number.
        worker_timeout: seconds in which workers have to bring something while a batch is waited for.

    Raises:
        ValueError: for an argument out of range.
    """

    def __init__(
        self,
        framing: Framing,
        batch_size: int,
        num_workers: int,
        images: str | None,
        seed: int | None,
        evaluation_seed: int,
        worker_timeout: float,
    ) -> None:
        super().__init__()
        least = {"size": (framing.size, 1), "batch_size": (batch_size, 1), "num_workers": (num_workers, 0)}
        for name, (number, smallest) in least.items():
            if number < smallest:
                raise ValueError(f"expected {name} of at least {smallest}, got {number}")
        if not framing.size <= framing.resize <= LONGEST_SIDE:
            raise ValueError(f"expected size <= resize <= {LONGEST_SIDE}, got size={framing.size}, resize={framing.resize}")
        if not worker_timeout > 0:
            raise ValueError(f"expected worker_timeout above 0 s, got {worker_timeout}")
        if evaluation_seed < 0 or (seed is not None and seed < 0):
            raise ValueError(f"expected seeds of at least 0, got {seed=}, {evaluation_seed=}")
        self.framing, self.batch_size, self.num_workers, self.images = framing, batch_size, num_workers, images
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed
        self.evaluation_seed, self.worker_timeout = evaluation_seed, worker_timeout
        self._loaders: list[WorkerBatches[Any]] = []

    def teardown(self, stage: str) -> None:
        for loader in self._loaders:
            loader.close()
        self._loaders.clear()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return (self.framing.channels, self.framing.size, self.framing.size)

    @property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean (C,) and standard deviation (C,) of ImageNet's values in [0, 1], which pretrained backbones expect."""
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if self.framing.channels == 3 else (GREY_MEAN, GREY_STD)
        return torch.tensor(mean), torch.tensor(std)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Images as float32 in [0, 1], on the device where they now lie."""
        if isinstance(batch, Annotated | Named):
            return batch._replace(image=scaled(batch.image))
        images, target = batch
        return scaled(images), target

    def batches(
        self, read: Callable[[Ask], Any], collate: Callable[[Sequence[Any]], Batch], count: int, seed: int | None = None
    ) -> WorkerBatches[Batch]:
        """Batches of this process.

        Args:
            read: reads an item.
            collate: makes a batch of items.
            count: number of items.
            seed: of the order of training; None for evaluation.
        """
        place = place_of(self)
        workers = self.num_workers, self.worker_timeout
        if seed is None:
            loader = WorkerBatches(read, collate, in_turn(count, self.batch_size, *place), *workers)
        else:
            loader = TrainingWorkerBatches(read, collate, EpochOrder(count, self.batch_size, seed, *place), *workers)
        self._loaders.append(loader)
        return loader

    def batches_to_predict(self, files: Sequence[Path], names: Sequence[str]) -> WorkerBatches[Named]:
        """Named batches of the folder that was asked for, turned as their EXIF says; of files where there is none."""
        framing = self.framing
        if self.images is not None:
            files = image_files(Path(self.images))
            names, framing = [file.name for file in files], framing._replace(upright=True)
        return self.batches(NamedImages(files, names, framing), stacked_named, len(files))


def usual_resize(size: int, resize: int | None) -> int:
    """The smallest side of an image of which the network sees a square: 256 for 224, and in proportion."""
    return round(size * 256 / 224) if resize is None else resize
