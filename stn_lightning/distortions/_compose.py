"""Distortions in a row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from stn_lightning.distortions._distortion import Distortion, MatrixDistortion, warp_once


class Compose(Distortion):
    """Distortions in a row; neighbours that are matrices are composed and sampled once.

    Args:
        distortions: applied in order.
    """

    def __init__(self, distortions: Sequence[Distortion]) -> None:
        super().__init__()
        self.distortions = nn.ModuleList(distortions)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        for _, group in groupby(self.distortions, lambda d: isinstance(d, MatrixDistortion)):
            chain = list(group)
            if matrices := [d for d in chain if isinstance(d, MatrixDistortion)]:
                images = warp_once(matrices, images, generator)
            else:
                for distortion in chain:
                    images = distortion(images, generator)
        return images

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        for distortion in self.distortions:
            assert isinstance(distortion, Distortion)
            size = distortion.output_size(size)
        return size
