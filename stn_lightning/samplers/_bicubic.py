"""Bicubic sampler."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from stn_lightning.samplers._sampler import Sampler


class Bicubic(Sampler):
    """Bicubic convolution (Keys 1981, a = -0.75) over 4x4 pixels. It may overshoot the range of the input.

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` pixels, or its ``reflection``.
    """

    def sample(self, input: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
        return F.grid_sample(input, grid, "bicubic", self.padding_mode, align_corners)
