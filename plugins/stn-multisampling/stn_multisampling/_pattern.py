"""Where the auxiliary points lie: a fixed pattern, turned from one grid point to the next."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
ROBERTS = 0.5698402909980532, 0.7548776662466927  # 1 / p^2 and 1 / p with p^3 = p + 1: the R2 sequence of M. Roberts


def gaussian_pattern(count: int) -> Tensor:
    """Points like those of a standard normal distribution: a golden-angle spiral at the quantiles of the radius.

    Args:
        count: number of points, at least 3.

    Returns:
        (count, 2) points, float64, of mean 0 and covariance I up to rounding.
    """
    index = torch.arange(count, dtype=torch.float64)
    radius = (-2 * torch.log1p(-(index + 0.5) / count)).sqrt()
    points = radius[:, None] * torch.stack([(GOLDEN_ANGLE * index).cos(), (GOLDEN_ANGLE * index).sin()], dim=1)
    points = points - points.mean(dim=0)
    root = torch.linalg.cholesky(points.T @ points / count)
    whitened: Tensor = torch.linalg.solve_triangular(root, points.T, upper=False)
    return whitened.T


def turns(size: Sequence[int], like: Tensor) -> Tensor:
    """The angle by which the pattern is turned at each point of a grid: neighbours look in other directions.

    Args:
        size: (H, W) of the grid.
        like: a tensor whose dtype and device the angles have.

    Returns:
        (H, W) angles in radians, in [0, 2 pi).
    """
    row, column = (torch.arange(n, dtype=like.dtype, device=like.device) for n in size)
    turn: Tensor = (ROBERTS[0] * row[:, None] + ROBERTS[1] * column) % 1
    return 2 * math.pi * turn
