"""Thin plate spline transform."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stn_lightning.geometry import homogeneous
from stn_lightning.transforms._lattice import Array, as_float32, lattice
from stn_lightning.transforms._linear import LinearTransform


class ThinPlateSpline(LinearTransform):
    """Thin plate spline (Bookstein 1989), given by where its control points go.

    The map ``f(p) = A p + b + sum_k w_k U(|p - c_k|)``, ``U(r) = r^2 log r``, of least bending energy with
    ``f(c_k) = theta_k``. The inverse of its linear system and U fold into one constant basis, so that no sample needs a solve,
    and one set of weights serves any output size.

    Convention:
        theta = (x1, y1, x2, y2, ...): the source position of each control point, row by row; the control points are target
        points. Normalised coordinates, float32 numbers; identity: the control points themselves.

    Args:
        grid_size: control points per side, or (rows, columns), on a regular lattice over [-1, 1]; at least 2 each.
        control_points: (x, y) of free control points instead of a lattice: at least 3, distinct, not all on one line.
        regularisation: 0 interpolates the control points; above, the map bends less and passes them by
            (the smoothing parameter of scipy's RBFInterpolator).
        learn_basis: learn the basis too, see ``LinearTransform``.
        basis_size: (H, W) of the output at which it is learned.
        basis_rank: rank of what is learned of it; None for any.

    Raises:
        ValueError: for control points that determine no spline, or a negative ``regularisation``.
    """

    def __init__(
        self,
        grid_size: int | tuple[int, int] = 4,
        control_points: Sequence[Sequence[float]] | None = None,
        regularisation: float = 0.0,
        learn_basis: bool = False,
        basis_size: tuple[int, int] | None = None,
        basis_rank: int | None = None,
    ) -> None:
        super().__init__(learn_basis, basis_size, basis_rank)
        if not regularisation >= 0:
            raise ValueError(f"expected regularisation of at least 0, got {regularisation}")
        centres = lattice(grid_size)[1] if control_points is None else _free_points(control_points)
        self.num_params = centres.size
        self._centres = centres
        self._weights = _weights_by_position(centres, regularisation)
        self._add_learned_basis(len(centres))

    def identity(self) -> Tensor:
        return torch.from_numpy(self._centres.astype(np.float32)).reshape(-1)

    def coefficients(self, theta: Tensor) -> Tensor:
        return theta.view(theta.shape[0], self.num_params // 2, 2).transpose(1, 2)

    def basis(self, xy: Tensor) -> Tensor:
        centres = torch.from_numpy(self._centres).to(xy)
        squared = (xy[:, None] - centres).square().sum(-1)
        radial = torch.special.xlogy(squared, squared) / 2  # r^2 log r, and 0 at r = 0
        return (torch.cat([radial, homogeneous(xy)], dim=1) @ torch.from_numpy(self._weights).to(xy)).T


def _free_points(control_points: Sequence[Sequence[float]]) -> Array:
    points = as_float32(control_points)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise ValueError(f"expected control_points as at least 3 pairs (x, y), got an array of shape {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError(f"expected finite control_points, got {points.tolist()}")
    if len(np.unique(points, axis=0)) < len(points):
        raise ValueError("expected distinct control_points (as float32), got one twice")
    if np.linalg.matrix_rank(points - points.mean(axis=0)) < 2:
        raise ValueError("expected control_points that are not all on one line")
    return points


def _weights_by_position(centres: Array, regularisation: float) -> Array:
    """(K + 3, K): the radial weights and affine part of the spline, linear in the source positions of its centres."""
    count = len(centres)
    squared = np.square(centres[:, None] - centres).sum(axis=-1)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = squared * np.log(np.where(squared > 0, squared, 1.0)) / 2
    system[:count, :count] += regularisation * np.eye(count)
    system[:count, count:] = np.concatenate([centres, np.ones((count, 1))], axis=1)
    system[count:, :count] = system[:count, count:].T
    return np.asarray(np.linalg.inv(system)[:, :count], dtype=np.float64)
