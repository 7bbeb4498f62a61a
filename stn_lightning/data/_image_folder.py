"""A user's own images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stn_lightning.data._batches import Named
from stn_lightning.data._class_folders import Files, class_names, list_files
from stn_lightning.data._decoding import read_image
from stn_lightning.data._photographs import Photographs, usual_resize
from stn_lightning.data._seeds import derived_seed
from stn_lightning.data._views import Framing, see
from stn_lightning.data._worker_batches import Ask, WorkerBatches

Pair = tuple[Tensor, Tensor]


class ImageFolderData(Photographs):
    """Images of any size in a folder for each class: ``root/CLASS/*``, or ``root/train/CLASS/*``, ``root/val``, ``root/test``.

    PNG, JPEG, BMP and WEBP files, also in folders inside a class folder; others are passed over. Where ``val`` or ``test`` has
    no folder, images are held out of training, class by class. An image is turned as its EXIF orientation says, and resized so
    that its smallest side is ``resize``; transparency is left out. Training sees a random square of it, mirrored one time in
    two; validation, test and prediction its middle.

    Batches are images (B, channels, size, size) in [0, 1] and targets (B,); those to predict have ``image`` and ``name``.

    Args:
        root: folder of class folders.
        size: side of what the network sees, in pixels.
        resize: smallest side of the resized image, in pixels; None for 256 of a size of 224, and in proportion.
        channels: 3, or 1 for grey.
        random_crop: whether the square is at a random place in training; else it is in the middle.
        flip: whether half of the training images are mirrored; switch it off where left and right matter.
        validation_fraction: share of the training images held out where there is no ``val``, in (0, 1).
        test_fraction: share of the training images held out where there is no ``test``, in (0, 1).
        batch_size: images in a batch of one process.
        num_workers: processes that decode images, for each of training, validation and so on; 0 to decode in the main one.
        images: folder of images to predict; None for the test images.
        seed: of the order and the random squares of training images; None for that of ``seed_everything``, or 0.
        evaluation_seed: of the choice of the images held out: the same for everybody with the same number.
        worker_timeout: seconds in which the worker processes have to bring something while a batch is waited for; frozen
            ones, which do not, are ended.

    Raises:
        ValueError: for an argument out of range; from a batch, for an image that is damaged.
        ChildProcessError: from a batch, if a worker died.
        TimeoutError: from a batch, if the workers brought nothing in time.
        FileNotFoundError: at setup, if there is no class folder, or one is empty.
    """

    def __init__(
        self,
        root: str,
        size: int = 64,
        resize: int | None = None,
        channels: int = 3,
        random_crop: bool = True,
        flip: bool = True,
        validation_fraction: float = 0.1,
        test_fraction: float = 0.1,
        batch_size: int = 32,
        num_workers: int = 2,
        images: str | None = None,
        seed: int | None = None,
        evaluation_seed: int = 0,
        worker_timeout: float = 120.0,
    ) -> None:
        if channels not in (1, 3):
            raise ValueError(f"expected channels 1 (grey) or 3, got {channels}")
        framing = Framing(size, usual_resize(size, resize), channels, True, random_crop, flip)
        super().__init__(framing, batch_size, num_workers, images, seed, evaluation_seed, worker_timeout)
        self.fractions = {"val": validation_fraction, "test": test_fraction}
        if not min(self.fractions.values()) > 0 or not sum(self.fractions.values()) < 1:
            raise ValueError(f"expected validation_fraction and test_fraction above 0, together below 1; got {self.fractions}")
        self.root = Path(root)
        self._sets: dict[str, Files] = {}

    @property
    def class_names(self) -> list[str]:
        """Names of the classes: of their folders, sorted."""
        return class_names(self.root)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def setup(self, stage: str | None = None) -> None:
        if not self._sets:
            self._sets = list_files(self.root, self.fractions, self.evaluation_seed)

    def train_dataloader(self) -> WorkerBatches[Pair]:
        return self._batches("train", self.seed)

    def val_dataloader(self) -> WorkerBatches[Pair]:
        return self._batches("val")

    def test_dataloader(self) -> WorkerBatches[Pair]:
        return self._batches("test")

    def predict_dataloader(self) -> WorkerBatches[Named]:
        files = [Path(file) for file in self._sets["test"].files] if self.images is None else []
        names = [f"{file.parent.name}/{file.name}" for file in files]
        return self.batches_to_predict(files, names)

    def _batches(self, split: str, seed: int | None = None) -> WorkerBatches[Pair]:
        files = self._sets[split]
        return self.batches(partial(_read, files, self.framing, seed), _stacked, len(files.files), seed)


def _read(files: Files, framing: Framing, seed: int | None, ask: Ask) -> Pair:
    draw = None if seed is None else np.random.default_rng(derived_seed("view", seed, *ask))
    square, _ = read_image(Path(files.files[ask.item]), lambda image: see(image, framing, draw))
    return torch.from_numpy(square), files.targets[ask.item]


def _stacked(items: Sequence[Pair]) -> Pair:
    images, targets = zip(*items, strict=True)
    return torch.stack(images), torch.stack(targets)
