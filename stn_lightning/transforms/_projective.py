"""Projective transform."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.geometry import homogeneous
from stn_lightning.transforms._matrix import MatrixTransform
from stn_lightning.transforms._product import linear_forms

NEAREST_TO_HORIZON = 1e-6


class Projective(MatrixTransform):
    """Plane projective transform with 8 parameters (Jaderberg et al. 2015, section 4.1).

    ``(x', y') = (h11 x + h12 y + h13, h21 x + h22 y + h23) / (h31 x + h32 y + 1)``

    Convention:
        theta = (h11, h12, h13, h21, h22, h23, h31, h32) row by row, h33 = 1, maps normalised target to source points (x, y);
        identity (1, 0, 0, 0, 1, 0, 0, 0). A denominator below 1e-6 in magnitude (a point on the horizon) counts as 1e-6, so
        that points stay finite.
    """

    num_params = 8

    def identity(self) -> Tensor:
        return torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])

    def matrix(self, theta: Tensor) -> Tensor:
        theta = theta if theta.dtype == torch.float64 else theta.float()
        return torch.cat([theta, torch.ones_like(theta[:, :1])], dim=1).view(theta.shape[0], 3, 3)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        return (matrix / matrix[:, 2:, 2:]).flatten(1)[:, :8]

    def points(self, theta: Tensor, xy: Tensor) -> Tensor:
        forms = linear_forms(self.matrix(theta), homogeneous(xy).T)
        bottom = forms[:, 2:]
        bottom = torch.where(bottom.abs() < NEAREST_TO_HORIZON, NEAREST_TO_HORIZON, bottom)
        return (forms[:, :2] / bottom).transpose(1, 2)
