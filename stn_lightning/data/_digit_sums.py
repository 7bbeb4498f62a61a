"""Two distorted handwritten digits, to be added."""

from __future__ import annotations

from typing import Any

import torch

from stn_lightning.data._batches import Raw
from stn_lightning.data._distorted_digits import DistortedDigits
from stn_lightning.data._seeds import derived_seed
from stn_lightning.data._sources import Digits
from stn_lightning.distortions import Distortion, Recipe


class DigitSums(DistortedDigits):
    """Two handwritten digits, each distorted on its own, each in a channel of its own; the class is their sum, 0 to 18.

    It is the MNIST addition of Jaderberg et al. 2015, appendix A.1. Training pairs are drawn and distorted anew at every step;
    validation and test pairs once. Each image of a split is the first of one pair, and the second is any of the same split:
    a choice of ours, which the paper leaves open. Images are (B, 2, H, W) in [0, 1], the background 0.

    Args:
        distortion: that of each digit, as for ``DistortedDigits``; the paper's is ``RTS``, in a 42x42 channel.
        **kwargs: those of ``DistortedDigits``.

    Raises:
        ValueError: for an argument out of range; at setup, for a file that is not MNIST.
        FileNotFoundError: at setup, if MNIST is not there.
    """

    def __init__(self, distortion: Recipe | Distortion = "RTS", **kwargs: Any) -> None:
        super().__init__(distortion=distortion, **kwargs)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return (2, *super().input_shape[1:])

    @property
    def num_classes(self) -> int:
        """Number of classes: the sums of two digits."""
        return 19

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Draws the second digits of a training batch, by its seed."""
        if not isinstance(batch, Raw):
            return batch
        generator = torch.Generator().manual_seed(derived_seed("second digits", batch.seed))
        return Raw(*_sums(Digits(batch.image, batch.target), self._sets["train"], generator), batch.seed)

    def evaluated_parts(self, split: str, generator: torch.Generator) -> Digits:
        return _sums(self.parts(split), self.parts(split), generator)


def _sums(first: Digits, pool: Digits, generator: torch.Generator) -> Digits:
    """Each first digit (N, 1, H, W) beside one of the pool, any at random (N, 2, H, W), and the sums (N,)."""
    second = torch.randint(len(pool.targets), (len(first.targets),), generator=generator)
    images = torch.cat([first.images, pool.images[second]], dim=1)
    return Digits(images, first.targets + pool.targets[second])
