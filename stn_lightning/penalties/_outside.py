"""Penalty for leaving the image."""

from __future__ import annotations

from torch import Tensor

from stn_lightning.penalties._penalty import GridPenalty


class Outside(GridPenalty):
    """The mean distance by which a grid leaves the image. A window that left it has no other gradient, and would never return.

    Args:
        weight: factor of the cost, at least 0; it counts only for those that leave.
    """

    def of_grid(self, grid: Tensor) -> Tensor:
        return outside(grid)


def outside(grid: Tensor) -> Tensor:
    """How far a window leaves the image: mean distance (B,) of its points to [-1, 1], in each coordinate.

    Args:
        grid: (B, *size, ndim) normalised source points.
    """
    distance: Tensor = (grid.abs() - 1).relu().flatten(1).mean(1)
    return distance
