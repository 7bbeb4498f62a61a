"""Affine transform of space."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.transforms._matrix import LinearMatrixTransform


class Affine3d(LinearMatrixTransform):
    """Affine transform of space: Jaderberg et al. 2015, appendix A.3.

    ``x' = t11 x + t12 y + t13 z + t14``, and so for y' and z'.

    Convention:
        theta = (t11, t12, t13, t14, t21, ..., t34), row by row, maps normalised target to source points (x, y, z); identity
        (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0). In a volume that is no cube, a rotation of normalised coordinates is not one of
        voxels.
    """

    ndim = 3
    num_params = 12

    def __init__(self) -> None:
        super().__init__()

    def identity(self) -> Tensor:
        return torch.eye(3, 4).flatten()

    def coefficients(self, theta: Tensor) -> Tensor:
        return theta.view(theta.shape[0], 3, 4)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        return matrix[:, :3].flatten(1)
