"""Distortions in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from stn_lightning.distortions._distortion import Distortion, MatrixDistortion, Size, warp_once
from stn_lightning.distortions._elastic import RandomElastic


class Compose(Distortion):
    """Distortions in a row; matrices in a row, and an elastic distortion after affine ones, are sampled once.

    Args:
        distortions: applied in order.

    Raises:
        ValueError: for something else than a distortion.
    """

    def __init__(self, distortions: Sequence[Distortion]) -> None:
        super().__init__()
        if stranger := next((d for d in distortions if not isinstance(d, Distortion)), None):
            raise ValueError(f"expected distortions, got {type(stranger).__name__}")
        self.distortions = nn.ModuleList(distortions)

    def distort(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        chain: list[MatrixDistortion] = []
        for distortion in self.distortions:
            if isinstance(distortion, MatrixDistortion):
                chain.append(distortion)
            elif isinstance(distortion, RandomElastic) and all(d.affine for d in chain):
                images, chain = distortion.after(chain, images, generator), []
            else:
                images = warp_once(chain, images, generator) if chain else images
                images, chain = distortion(images, generator), []
        return warp_once(chain, images, generator) if chain else images

    def output_size(self, size: Size) -> Size:
        for distortion in self.distortions:
            size = cast(Distortion, distortion).output_size(size)
        return size
