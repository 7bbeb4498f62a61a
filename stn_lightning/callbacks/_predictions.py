"""Predictions as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from stn_lightning._files import whole_file
from stn_lightning.callbacks._run_files import of_process, run_folder

FILE = "file"


class PredictionTable(BasePredictionWriter):
    """Writes what ``predict`` returns to ``predictions.csv`` in the folder of the run: a row an image, a column a value.

    The first column is ``file`` where the predictions have the names of files, else ``image``, the number of the image. Under
    several processes each writes its own ``predictions_RANK.csv``; process r has the images r, r + n, r + 2 n, ... The table
    is written when all is predicted, whole or not at all.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="epoch")

    def write_on_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        file = run_folder(trainer) / f"{of_process('predictions', trainer)}.csv"
        if not predictions:
            return
        names = FILE in predictions[0]
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow([FILE if names else "image", *(name for name in predictions[0] if name != FILE)])
        index = trainer.global_rank
        for row in (row for batch in predictions for row in rows(batch)):
            writer.writerow([row.pop(FILE) if names else index, *row.values()])
            index += trainer.world_size
        with whole_file(file) as stream:
            stream.write(text.getvalue().encode(errors="surrogateescape"))  # a file's name may be no text
        if trainer.global_rank == 0:
            trainer.print(f"predictions: {file}")


def rows(batch: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What is predicted of each image of a batch.

    Args:
        batch: columns, tensors or lists of one value an image.

    Raises:
        ValueError: for columns of different lengths.
    """
    columns = [values.tolist() if isinstance(values, Tensor) else list(values) for values in batch.values()]
    if len({len(column) for column in columns}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in zip(batch, columns, strict=True))
        raise ValueError(f"predictions: expected columns of one length, got {lengths}")
    return (dict(zip(batch, values, strict=True)) for values in zip(*columns, strict=True))
