"""Transforms that are a matrix on homogeneous points."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from stn_lightning.geometry import homogeneous, without_autocast
from stn_lightning.transforms._linear import LinearTransform
from stn_lightning.transforms._transform import Transform


class MatrixTransform(Transform):
    """A transform that is a matrix on homogeneous points, 3x3 in the plane, and so can be composed and inverted.

    Convention:
        ``matrix(theta)`` maps homogeneous normalised target points to source points; it has n = ndim + 1 rows and columns.
    """

    @abstractmethod
    def matrix(self, theta: Tensor) -> Tensor:
        """(B, n, n) of theta (B, P)."""

    @abstractmethod
    def from_matrix(self, matrix: Tensor) -> Tensor:
        """Theta (B, P) of matrices (B, n, n) that belong to the family.

        Raises:
            ValueError: if the family is not closed under composition and inversion.
        """

    def compose(self, outer: Tensor, inner: Tensor) -> Tensor:
        """Theta of ``p -> T_outer(T_inner(p))``.

        As warps, ``inner`` is applied last: to warp an image with ``outer`` and the result with ``inner`` is to warp it once
        with ``compose(outer, inner)``.

        Args:
            outer: (B, P).
            inner: (B, P).

        Returns:
            (B, P).

        Raises:
            ValueError: if the family is not closed under composition, or its basis is learned.
        """
        with without_autocast(outer.device.type):
            return self.from_matrix(self._exact_matrix(outer) @ self._exact_matrix(inner))

    def inverse(self, theta: Tensor) -> Tensor:
        """Theta of the inverse map, (B, P).

        Args:
            theta: (B, P).

        Raises:
            torch.linalg.LinAlgError: if a matrix is singular.
            ValueError: if the family is not closed under inversion, or its basis is learned.
        """
        with without_autocast(theta.device.type):
            return self.from_matrix(torch.linalg.inv(self._exact_matrix(theta)))

    def _exact_matrix(self, theta: Tensor) -> Tensor:
        return self.matrix(theta)


class LinearMatrixTransform(LinearTransform, MatrixTransform):
    """A subgroup of the affine maps: the basis is (x, y, 1), or so in other dimensions."""

    def __init__(self, learn_basis: bool = False, basis_size: tuple[int, int] | None = None) -> None:
        super().__init__(learn_basis, basis_size)
        self._add_learned_basis(self.ndim + 1)

    def basis(self, xy: Tensor) -> Tensor:
        return homogeneous(xy).T

    def _exact_matrix(self, theta: Tensor) -> Tensor:
        if self.learned_basis is not None:
            raise ValueError("transforms with a learned basis are no matrices: expected learn_basis=False")
        return self.matrix(theta)

    def matrix(self, theta: Tensor) -> Tensor:
        theta = theta if theta.dtype == torch.float64 else theta.float()
        last = torch.zeros(theta.shape[0], 1, self.ndim + 1, dtype=theta.dtype, device=theta.device)
        last[..., -1] = 1
        return torch.cat([self.coefficients(theta), last], dim=1)


def rows(*entries: tuple[Tensor, ...]) -> Tensor:
    """(B, R, K) matrices from R rows of K entries (B,)."""
    return torch.stack([torch.stack(row, dim=1) for row in entries], dim=1)
