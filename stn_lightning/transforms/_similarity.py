"""Similarity transform."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.transforms._matrix import LinearMatrixTransform, rows


class Similarity(LinearMatrixTransform):
    """Rotation, isotropic scale and translation, linear in its four parameters.

    ``x' = a x - b y + tx``, ``y' = b x + a y + ty``: scale ``sqrt(a^2 + b^2)``, angle ``atan2(b, a)``.

    Convention:
        theta = (a, b, tx, ty) maps normalised target to source points (x, y); identity (1, 0, 0, 0). On an image that is not
        square, a rotation of normalised coordinates is not one of pixels.

    Args:
        learn_basis: learn the basis (x, y, 1) too, see ``LinearTransform``.
        basis_size: (H, W) of the output at which it is learned.
    """

    num_params = 4

    def identity(self) -> Tensor:
        return torch.tensor([1.0, 0.0, 0.0, 0.0])

    def coefficients(self, theta: Tensor) -> Tensor:
        a, b, tx, ty = theta.unbind(1)
        return rows((a, -b, tx), (b, a, ty))

    def from_matrix(self, matrix: Tensor) -> Tensor:
        return torch.stack([matrix[:, 0, 0], matrix[:, 1, 0], matrix[:, 0, 2], matrix[:, 1, 2]], dim=1)
