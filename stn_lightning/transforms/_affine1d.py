"""Affine transform of a line."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.transforms._matrix import LinearMatrixTransform


class Affine1d(LinearMatrixTransform):
    """Scale and shift of a line: a window of a signal.

    ``x' = s x + t``

    Convention:
        theta = (s, t) maps normalised target to source points (x); identity (1, 0). ``s < 1`` zooms in, ``s < 0`` reverses.
    """

    ndim = 1
    num_params = 2

    def __init__(self) -> None:
        super().__init__()

    def identity(self) -> Tensor:
        return torch.tensor([1.0, 0.0])

    def coefficients(self, theta: Tensor) -> Tensor:
        return theta.view(theta.shape[0], 1, 2)

    def from_matrix(self, matrix: Tensor) -> Tensor:
        return matrix[:, :1].flatten(1)
