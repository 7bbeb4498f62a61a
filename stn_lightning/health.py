"""How a spatial transformer warps, in numbers that tell a healthy one from a sick one: functions of its sampling grids.

Convention:
    A grid is (B, *size, ndim): the normalised source point (x, y[, z]) of each target point; [-1, 1] spans the image. A
    measure of a sample is (B,). Distances are in normalised coordinates: 2 is the side of the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def share_outside(grid: Tensor) -> Tensor:
    """Share of a window's points that lie outside the image, where there is only padding: (B,) in [0, 1].

    Args:
        grid: (B, *size, ndim).
    """
    share: Tensor = (grid.abs() > 1).any(-1).flatten(1).float().mean(1)
    return share


def distance(grid: Tensor, other: Tensor) -> Tensor:
    """How far apart the points of two grids lie: root of the mean squared distance over points and coordinates, (B,).

    Args:
        grid: (B, *size, ndim).
        other: (*size, ndim), or (B, *size, ndim).
    """
    rms: Tensor = (grid - other).square().flatten(1).mean(1).sqrt()
    return rms


def spread(grid: Tensor) -> Tensor:
    """How much the warps of a batch differ: their root-mean-square distance from the mean warp of the batch, a scalar.

    Zero, up to rounding, where every image is warped alike; not a number for a batch of one.

    Args:
        grid: (B, *size, ndim).
    """
    value: Tensor = grid.var(0).mean().sqrt()
    return value


def jacobians(grid: Tensor, spacing: Sequence[float]) -> Tensor:
    """Derivatives of source by target points, by finite differences over each cell between points: exact for affine warps.

    Args:
        grid: (B, *size, ndim).
        spacing: distance of neighbouring target points in x, y[, z]: 2 / W and 2 / H of a whole grid.

    Returns:
        (B, *cells, ndim, ndim), one cell fewer than points in each direction: row i, column j is the derivative of source
        coordinate i by target coordinate j. No cells where a direction has a single point.
    """
    ndim = grid.shape[-1]
    columns = []
    for axis, step in enumerate(spacing):
        along = ndim - axis  # x is the last direction of a grid
        column = grid.diff(dim=along)
        for other in range(1, ndim + 1):
            if other != along:
                column = (column.narrow(other, 0, grid.shape[other] - 1) + column.narrow(other, 1, grid.shape[other] - 1)) / 2
        columns.append(column / step)
    return torch.stack(columns, dim=-1)


def determinants(jacobian: Tensor) -> Tensor:
    """Determinants (...) of Jacobians (..., ndim, ndim): signed area, or volume, in the image of a unit of the output."""
    if jacobian.shape[-1] != 2:
        value: Tensor = torch.linalg.det(jacobian)
        return value
    value = jacobian[..., 0, 0] * jacobian[..., 1, 1] - jacobian[..., 0, 1] * jacobian[..., 1, 0]
    return value


def area(determinant: Tensor) -> Tensor:
    """Area of a window relative to the image's, (B,): 1 for the identity, 0.25 for a window of half its side.

    Args:
        determinant: (B, *cells).
    """
    mean: Tensor = determinant.abs().flatten(1).mean(1)
    return mean


def folds(determinant: Tensor) -> Tensor:
    """Share of a window's cells that are turned over, relative to most of them: (B,) in [0, 0.5].

    A mirrored window has none: all its cells are turned over.

    Args:
        determinant: (B, *cells).
    """
    turned = (determinant < 0).flatten(1).float().mean(1)
    return torch.minimum(turned, 1 - turned)


def condition(jacobian: Tensor) -> Tensor:
    """Condition number of the mean Jacobian of a window, (B,): longest by shortest axis of the ellipse that a circle becomes.

    1 for similarities; infinite for a window that is a line or a point.

    Args:
        jacobian: (B, *cells, ndim, ndim).
    """
    mean = jacobian.flatten(1, -3).mean(1)
    if mean.shape[-1] != 2:
        value: Tensor = torch.linalg.cond(mean)
        return value
    squares, product = mean.square().sum((1, 2)), determinants(mean).abs()
    value = (squares + (squares.square() - 4 * product.square()).clamp(min=0).sqrt()) / (2 * product)
    return value
