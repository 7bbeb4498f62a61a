"""Distorted digits, dark on white, in the range of many text recognisers."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.distortions import Compose, recipe


class DarkOnWhite(Compose):
    """The set RTS, inverted and then normalised to [-1, 1]: zeros are grey, the background is 1."""

    def __init__(self) -> None:
        super().__init__([recipe("RTS")])

    def distort(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        return 1 - 2 * super().distort(images, generator)
