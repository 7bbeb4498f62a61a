"""Bilinear sampler."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from stn_lightning.samplers._sampler import Sampler


class Bilinear(Sampler):
    """Bilinear interpolation: Jaderberg et al. 2015, equation (5), with the gradients of (6) and (7).

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` pixels, or its ``reflection``.
    """

    def sample(self, input: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
        return F.grid_sample(input, grid, "bilinear", self.padding_mode, align_corners)
