"""Penalty for displacements that change from point to point."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.penalties._penalty import GridPenalty


class Smoothness(GridPenalty):
    """How much the displacement of a grid changes from point to point: the smoothness term of Horn and Schunck 1981.

    The mean over neighbouring points, summed over the directions, of the squared change of the displacement (source minus
    target point) per unit of distance: ``|J - I|^2`` for an affine warp of Jacobian J, whatever the size of the grid. So a
    translation costs nothing, half the scale 0.5, a quarter turn 4. It is for transforms that do not tie the points of their
    grid together, as ``flow``.

    Args:
        weight: factor of the cost, at least 0.
        align_corners: the setting of the spatial transformers.
    """

    def __init__(self, weight: float = 1.0, align_corners: bool = False) -> None:
        super().__init__(weight)
        self.align_corners = align_corners

    def of_grid(self, grid: Tensor) -> Tensor:
        identity = torch.eye(grid.shape[-1]).to(grid)
        cost = torch.zeros_like(grid.flatten(1)[:, 0])
        for axis, count in enumerate(grid.shape[1:-1], 1):
            if count > 1:
                slope = grid.diff(dim=axis) * ((count - int(self.align_corners)) / 2)
                cost = cost + (slope - identity[-axis]).square().sum(-1).flatten(1).mean(1)
        return cost
