"""Piecewise affine transform."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stn_lightning.geometry import normalised_to_pixel
from stn_lightning.transforms._lattice import lattice
from stn_lightning.transforms._linear import LinearTransform


class PiecewiseAffine(LinearTransform):
    """Piecewise affine transform (named in Jaderberg et al. 2015, section 3.2), given by where its control points go.

    The control points are a regular lattice over [-1, 1]; the diagonal from top left to bottom right divides each of its cells
    into two triangles, and the map is affine on each: ``f(p) = p + sum_k (theta_k - c_k) h_k(p)``. The hat function h_k is 1
    at control point c_k, 0 at all others and linear on each triangle.

    A point is moved by the three corners of its triangle alone; so, unlike those of ``tps``, a control point whose triangles
    show nothing but background gets no gradient. The map is continuous; across a dividing line its derivative by the target
    point jumps, and on the line it is that of one of the pieces that meet, or a mean of them. By theta it has no jump.
    Lattice, diagonal and what happens beyond [-1, 1], where a point moves as the nearest inside does, are choices of ours.

    Convention:
        theta = (x1, y1, x2, y2, ...): the source position of each control point, row by row; the control points are target
        points. Normalised coordinates, float32 numbers; identity: the control points themselves.

    Args:
        grid_size: control points per side, or (rows, columns), on a regular lattice over [-1, 1]; at least 2 each.

    Raises:
        ValueError: for fewer than 2 control points per side.
    """

    def __init__(self, grid_size: int | tuple[int, int] = 4) -> None:
        super().__init__()
        self._size, self._centres = lattice(grid_size)
        self.num_params = self._centres.size

    def identity(self) -> Tensor:
        return torch.from_numpy(self._centres.astype(np.float32)).reshape(-1)

    def coefficients(self, theta: Tensor) -> Tensor:
        return theta.view(theta.shape[0], self.num_params // 2, 2).transpose(1, 2)

    def basis(self, xy: Tensor) -> Tensor:
        rows, columns = self._size
        where = normalised_to_pixel(xy.clamp(-1, 1), self._size, align_corners=True)  # in cells from the first control point
        cell = where.detach().floor().minimum(where.new_tensor([columns - 2, rows - 2]))
        u, v = (where - cell).unbind(-1)
        larger = torch.maximum(u, v)
        weights = torch.stack([1 - larger, larger - v, larger - u, u + v - larger])
        column, row = cell.long().unbind(-1)
        corners = torch.tensor([0, 1, columns, columns + 1], device=xy.device)[:, None] + row * columns + column
        return weights.new_zeros(rows * columns, len(xy)).scatter(0, corners, weights)
