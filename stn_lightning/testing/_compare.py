"""Comparisons that say in words what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stn_lightning.geometry import regular_points


def same(actual: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Fails unless two tensors agree.

    Args:
        actual: what the part gave.
        expected: what it should be, of the same shape.
        tolerance: largest absolute difference.
        what: the sentence that is then not true.
    """
    assert actual.shape == expected.shape, (
        f"not true: {what}; expected shape {tuple(expected.shape)}, got {tuple(actual.shape)}"
    )
    off = (actual.detach().double() - expected.detach().double()).abs()
    both_nan = actual.isnan() & expected.isnan()
    off = off.masked_fill(both_nan.to(off.device), 0)
    worst = off.max().item() if off.numel() else 0.0
    assert worst <= tolerance, f"not true: {what}; off by up to {worst:.3g}, allowed {tolerance:.3g}"


def pixels_off(grid: Tensor, exact: Tensor) -> float:
    """The largest distance of two grids (B, *size, ndim) along an axis, in pixels of an input of the grid's own size."""
    extent = grid.new_tensor(grid.shape[1:-1][::-1], dtype=torch.float64)
    return float(((grid.detach().double() - exact.detach().double()).abs() * extent / 2).max())


def flaw(grid: Tensor, size: Sequence[int], align_corners: bool) -> str:
    """What is wrong with a grid (1, *size, ndim) that should be the regular one, as far as one can tell.

    Args:
        grid: the grid of the identity.
        size: its size.
        align_corners: the setting it was asked with.
    """
    ndim = len(size)
    points = grid.detach().double().reshape(-1, ndim)
    expected = regular_points(size, align_corners)
    if torch.allclose(points, expected.flip(-1), atol=1e-4):
        return "the coordinates are transposed: points are (x[, y[, z]]), sizes are (L,), (H, W) or (D, H, W)"
    if torch.allclose(points, regular_points(size, not align_corners), atol=1e-4):
        return f"the grid is that of align_corners={not align_corners}: use the points that are given, or `_regular_points`"
    pixels = (points - expected) * expected.new_tensor(size[::-1]) / 2
    if torch.allclose(pixels, pixels[:1].expand_as(pixels), atol=1e-3):
        shift = ", ".join(f"{value:.3g}" for value in pixels[0].tolist())
        return f"the grid is off by ({shift}) pixels everywhere: pixel centres are at (2 i + 1) / n - 1"
    if torch.allclose(points.flip(0), expected, atol=1e-4):
        return "the grid is turned by 180 degrees"
    return f"points are up to {pixels.abs().max():.3g} pixels from where they should be"
