"""What the callbacks share that look at validation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from stn_lightning.callbacks._in_a_row import half_pixel, has_align_corners
from stn_lightning.networks import Output


class Seen(NamedTuple):
    """A validation batch and what became of it.

    Attributes:
        images: (B, C, H, W).
        targets: (B, ...) what they show.
        output: what the network made of them; its grids are as ``align_corners=False`` has them.
        batch_idx: number of the batch.
    """

    images: Tensor
    targets: Tensor
    output: Output
    batch_idx: int


class ValidationCallback(Callback):
    """A callback that is shown each validation batch with its ``Output``; the sanity check is left out.

    It reads what the validation step returns as ``output``. A subclass gives ``see``.
    """

    def see(self, trainer: Trainer, pl_module: LightningModule, batch: Seen) -> None:
        """Takes note of a batch."""
        raise NotImplementedError

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Sequence[Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        output = outputs.get("output") if isinstance(outputs, Mapping) else None
        if isinstance(output, Output) and not trainer.sanity_checking and not dataloader_idx:
            warps = half_pixel(batch[0], output.warps, has_align_corners(pl_module))
            self.see(trainer, pl_module, Seen(batch[0], batch[1], output._replace(warps=warps), batch_idx))

    @staticmethod
    def writers(trainer: Trainer) -> Iterator[Any]:
        """The summary writer of each TensorBoard logger."""
        return (logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger))


class PictureCallback(ValidationCallback):
    """A callback that draws images in columns.

    Args:
        num_images: columns of a picture.
        side: height and width of each cell, in pixels.

    Raises:
        ValueError: if one of them is not positive.
    """

    def __init__(self, num_images: int = 8, side: int = 84) -> None:
        if num_images < 1 or side < 1:
            raise ValueError(f"expected num_images and side of at least 1, got {num_images=}, {side=}")
        self.num_images = num_images
        self.side = side
