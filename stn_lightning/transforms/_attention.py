"""Attention: isotropic scale and translation."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.transforms._matrix import LinearMatrixTransform, rows


class Attention(LinearMatrixTransform):
    """Cropping, translation and isotropic scaling: Jaderberg et al. 2015, equation (2).

    ``x' = s x + tx``, ``y' = s y + ty``

    Convention:
        theta = (s, tx, ty) maps normalised target to source points (x, y); identity (1, 0, 0). ``s < 1`` zooms in.

    Args:
        learn_basis: learn the basis (x, y, 1) too, see ``LinearTransform``.
        basis_size: (H, W) of the output at which it is learned.
    """

    num_params = 3

    def identity(self) -> Tensor:
        return torch.tensor([1.0, 0.0, 0.0])

    def coefficients(self, theta: Tensor) -> Tensor:
        s, tx, ty = theta.unbind(1)
        zero = torch.zeros_like(s)
        return rows((s, zero, tx), (zero, s, ty))

    def from_matrix(self, matrix: Tensor) -> Tensor:
        return torch.stack([matrix[:, 0, 0], matrix[:, 0, 2], matrix[:, 1, 2]], dim=1)
