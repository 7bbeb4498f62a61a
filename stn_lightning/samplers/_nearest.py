"""Nearest sampler."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from stn_lightning.samplers._sampler import Sampler


class Nearest(Sampler):
    """The nearest pixel: Jaderberg et al. 2015, equation (4).

    Piecewise constant: it has a gradient in the input, none in the grid. Halfway between two pixels it takes the even one, as
    ``torch.nn.functional.grid_sample`` does.

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` pixels, or its ``reflection``.
    """

    grid_gradient = "none"

    def sample(self, input: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
        return F.grid_sample(input, grid, "nearest", self.padding_mode, align_corners)
