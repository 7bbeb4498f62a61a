"""Predictions as a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter


class PredictionTable(BasePredictionWriter):
    """Writes what ``predict`` returns to ``predictions.csv`` in the folder of the run: a row an image, a column a value.

    Under several processes each writes its own ``predictions_RANK.csv``; process r has the images r, r + n, r + 2 n, ...
    """

    def __init__(self) -> None:
        super().__init__(write_interval="epoch")

    def write_on_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        rank, world_size = trainer.global_rank, trainer.world_size
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / (f"predictions_{rank}.csv" if world_size > 1 else "predictions.csv")
        index = rank
        with file.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["image", *predictions[0]])
            for batch in predictions:
                for row in zip(*(values.tolist() for values in batch.values()), strict=True):
                    writer.writerow([index, *row])
                    index += world_size
        if rank == 0:
            trainer.print(f"predictions: {file}")
