"""Samples that are made on the training device."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from stn_lightning.data._batches import EvaluationBatches, Raw, TrainingBatches, place_of
from stn_lightning.data._seeds import derived_seed
from stn_lightning.data._sources import Digits


class MadeAnew(LightningDataModule, ABC):
    """Samples that are made anew at every training step, in batches, on the training device; of validation and test once.

    A subclass gives ``parts`` and ``made``.

    Args:
        batch_size: samples in a batch of one process.
        seed: of the order and making of training samples; None for that of ``seed_everything``, or 0.
        evaluation_seed: of the making of validation and test samples.

    Raises:
        ValueError: for a batch size below 1.
    """

    def __init__(self, batch_size: int, seed: int | None, evaluation_seed: int) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"expected batch_size of at least 1, got {batch_size}")
        self.batch_size = batch_size
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed
        self.evaluation_seed = evaluation_seed
        self._evaluated: dict[str, Digits] = {}

    @abstractmethod
    def parts(self, split: str) -> Digits:
        """What the samples of ``train``, ``validation`` or ``test`` are made of, and their targets."""

    @abstractmethod
    def made(self, parts: Tensor, generator: torch.Generator) -> Tensor:
        """Training samples of their parts; the generator is on the same device."""

    def evaluated(self, split: str, generator: torch.Generator) -> Digits:
        """Samples and targets of ``validation`` or ``test``."""
        parts, targets = self.parts(split)
        return Digits(self.made(parts, generator), targets)

    def train_dataloader(self) -> TrainingBatches:
        return TrainingBatches(*self.parts("train"), self.batch_size, self.seed, *place_of(self))

    def val_dataloader(self) -> Any:
        return self._evaluation("validation")

    def test_dataloader(self) -> Any:
        return self._evaluation("test")

    def predict_dataloader(self) -> Any:
        return self._evaluation("test")

    def _evaluation(self, split: str) -> Any:
        if split not in self._evaluated:
            generator = torch.Generator().manual_seed(derived_seed(split, self.evaluation_seed))
            self._evaluated[split] = self.evaluated(split, generator)
        return EvaluationBatches(*self._evaluated[split], self.batch_size, *place_of(self))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Makes the samples of a training batch, on the device where their parts now lie."""
        if not isinstance(batch, Raw):
            return batch
        generator = torch.Generator(batch.image.device).manual_seed(batch.seed)
        return self.made(batch.image, generator), batch.target
