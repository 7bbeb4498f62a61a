"""Rows of handwritten digits in clutter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from stn_lightning.data._batches import Raw
from stn_lightning.data._cluttered_rows import CANVAS, cluttered_rows
from stn_lightning.data._distorted_digits import CHUNK, DistortedDigits, scaled
from stn_lightning.data._seeds import derived_seed
from stn_lightning.data._sources import Digits

LENGTH = 3


class DigitSequences(DistortedDigits):
    """Three handwritten digits in a row of random slope, in clutter, to be read from left to right.

    It is the cluttered MNIST sequences of Sonderby et al. 2015 (arXiv 1509.05329), as the authors' code draws them: in 100x100
    pixels three digits of 28x28 stand side by side, the first at most 15 pixels from the left edge and at any height, each
    next one up to 14 pixels higher or lower, all by the same number, and none beyond the image; eight patches of 9x9 pixels,
    cut out of any digits, lie anywhere, behind and around them. Values are added and clamped to 1.

    Ours is that training rows are drawn anew at every step, on the training device, where the authors drew 60,000 once; that
    each image of a split is the first digit of one row, the others being any of the same split; that patches come from the
    digits of the batch; and that patches, too, are added where they overlap. Validation and test rows are drawn once.

    Images are (B, 1, 100, 100) in [0, 1], the background 0; targets (B, 3).

    Args:
        **kwargs: those of ``DistortedDigits``, without its distortions.

    Raises:
        ValueError: for an argument out of range; at setup, for a file that is not MNIST.
        FileNotFoundError: at setup, if MNIST is not there.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(distortion="none", evaluation_distortion=None, **kwargs)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return (1, CANVAS, CANVAS)

    @property
    def max_length(self) -> int:
        """Number of digits in an image."""
        return LENGTH

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Draws the other digits of the rows of a training batch, by its seed."""
        if not isinstance(batch, Raw):
            return batch
        generator = torch.Generator().manual_seed(derived_seed("other digits", batch.seed))
        return Raw(*_sequences(Digits(batch.image, batch.target), self._sets["train"], generator), batch.seed)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Draws the rows of a training batch, on the device where it now lies, and scales images to [0, 1]."""
        images, targets = super().on_after_batch_transfer(batch, dataloader_idx)
        return scaled(images), targets

    def made(self, parts: Tensor, generator: torch.Generator) -> Tensor:
        return cluttered_rows(parts, generator)

    def evaluated(self, split: str, generator: torch.Generator) -> Digits:
        digits, targets = _sequences(self.parts(split), self.parts(split), generator)
        return Digits(torch.cat([cluttered_rows(chunk, generator) for chunk in torch.split(digits, CHUNK)]), targets)


def _sequences(first: Digits, pool: Digits, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each first digit (N, 1, H, W) and others, any of the pool: images (N, LENGTH, H, W) and classes (N, LENGTH)."""
    others = torch.randint(len(pool.targets), (len(first.targets), LENGTH - 1), generator=generator)
    images = torch.cat([first.images, pool.images[others].flatten(1, 2)], dim=1)
    return images, torch.cat([first.targets[:, None], pool.targets[others]], dim=1)
