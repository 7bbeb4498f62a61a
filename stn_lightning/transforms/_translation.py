"""Translation of a window of fixed scale."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.transforms._matrix import LinearMatrixTransform, rows


class Translation(LinearMatrixTransform):
    """Translation of a window of fixed scale (the CUB experiments of Jaderberg et al. 2015 use scale 0.5).

    ``x' = scale x + tx``, ``y' = scale y + ty``

    Convention:
        theta = (tx, ty) maps normalised target to source points (x, y). The identity is (0, 0) at ``scale=1``; at another
        scale there is none, and (0, 0) is the central window.

    Args:
        scale: side of the window relative to the image, above 0; 1 is the whole image.
        learn_basis: learn the basis (x, y, 1) too, see ``LinearTransform``.
        basis_size: (H, W) of the output at which it is learned.

    Raises:
        ValueError: if ``scale`` is not positive.
    """

    num_params = 2

    def __init__(self, scale: float = 1.0, learn_basis: bool = False, basis_size: tuple[int, int] | None = None) -> None:
        super().__init__(learn_basis, basis_size)
        if not scale > 0:
            raise ValueError(f"expected scale above 0, got {scale}")
        self.scale = scale
        self.has_identity = scale == 1

    def identity(self) -> Tensor:
        return torch.zeros(2)

    def base(self, xy: Tensor) -> Tensor:
        return self.scale * xy

    def coefficients(self, theta: Tensor) -> Tensor:
        tx, ty = theta.unbind(1)
        zero = torch.zeros_like(tx)
        scale = torch.full_like(tx, self.scale)
        return rows((scale, zero, tx), (zero, scale, ty))

    def from_matrix(self, matrix: Tensor) -> Tensor:
        if not self.has_identity:
            raise ValueError(f"translations of a window of scale {self.scale} do not compose or invert: expected scale 1")
        return matrix[:, :2, 2]
