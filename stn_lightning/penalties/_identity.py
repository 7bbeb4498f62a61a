"""Penalty for leaving the identity."""

from __future__ import annotations

from torch import Tensor

from stn_lightning.geometry import regular_points
from stn_lightning.penalties._penalty import GridPenalty


class Identity(GridPenalty):
    """The mean squared distance of a grid's points from where the identity has them: a prior for small warps.

    Args:
        weight: factor of the cost, at least 0.
        align_corners: the setting of the spatial transformers.
    """

    def __init__(self, weight: float = 1.0, align_corners: bool = False) -> None:
        super().__init__(weight)
        self.align_corners = align_corners

    def of_grid(self, grid: Tensor) -> Tensor:
        identity = regular_points(grid.shape[1:-1], self.align_corners).to(grid)
        squared: Tensor = (grid.flatten(1, -2) - identity).square().sum(-1).mean(1)
        return squared
