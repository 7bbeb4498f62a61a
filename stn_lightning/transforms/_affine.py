"""Affine transform."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.transforms._matrix import LinearMatrixTransform


class Affine(LinearMatrixTransform):
    """Affine transform: Jaderberg et al. 2015, equation (1).

    ``x' = t11 x + t12 y + t13``, ``y' = t21 x + t22 y + t23``

    Convention:
        theta = (t11, t12, t13, t21, t22, t23) maps normalised target to source points (x, y); identity (1, 0, 0, 0, 1, 0).

    Args:
        learn_basis: learn the basis (x, y, 1) too, see ``LinearTransform``.
        basis_size: (H, W) of the output at which it is learned.
    """

    num_params = 6

    def identity(self) -> Tensor:
        return torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])

    def coefficients(self, theta: Tensor) -> Tensor:
        return theta.view(theta.shape[0], 2, 3)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        return matrix[:, :2].flatten(1)
