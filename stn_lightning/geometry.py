"""The coordinate contract as pure functions.

Convention:
    - Points are (x[, y[, z]]); sizes are (L,), (H, W) or (D, H, W). The last size belongs to x.
    - Normalised coordinates span the image by [-1, 1]. With ``align_corners=False`` -1 and 1 are the outer edges of the corner
      pixels, with ``align_corners=True`` their centres.
    - A transform maps target (output) to source (input) coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import index

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE = {1: "L", 2: "H, W", 3: "D, H, W"}


def checked_size(size: object, ndim: int, name: str) -> tuple[int, ...]:
    """A size as a tuple of positive integers.

    Args:
        size: what should be (L,), (H, W) or (D, H, W).
        ndim: how many integers it should have.
        name: of the argument, for the message.

    Raises:
        ValueError: if it is something else.
    """
    try:
        sizes = tuple(index(n) for n in size)  # type: ignore[attr-defined]
    except TypeError:
        sizes = ()
    if len(sizes) != ndim or min(sizes) < 1:
        raise ValueError(f"{name}: expected {ndim} positive integer{'s' * (ndim > 1)} ({SIZE[ndim]}), got {size}")
    return sizes


def without_autocast(device_type: str) -> AbstractContextManager[None]:
    """A context in which products keep the dtype of their factors: bfloat16 coordinates are wrong by pixels."""
    if torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def pixel_to_normalised(pixel: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Normalised coordinates of pixel coordinates (0 is the centre of the first pixel).

    Args:
        pixel: (..., ndim) points, (x[, y[, z]]).
        size: (L,), (H, W) or (D, H, W) of the image.
        align_corners: whether -1 and 1 are the centres of the corner pixels. At size 1 the coordinate is then 0.

    Returns:
        (..., ndim) points; [-1, 1] inside the image.
    """
    extent = torch.tensor(list(size)[::-1], dtype=pixel.dtype, device=pixel.device)
    if align_corners:
        return torch.where(extent > 1, 2 * pixel / (extent - 1).clamp(min=1) - 1, 0.0)
    return (2 * pixel + 1) / extent - 1


def normalised_to_pixel(points: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Pixel coordinates (0 is the centre of the first pixel) of normalised coordinates.

    Args:
        points: (..., ndim) points, (x[, y[, z]]).
        size: (L,), (H, W) or (D, H, W) of the image.
        align_corners: whether -1 and 1 are the centres of the corner pixels.

    Returns:
        (..., ndim) points in pixels; [-0.5, size - 0.5] inside the image, [0, size - 1] with ``align_corners``.
    """
    extent = torch.tensor(list(size)[::-1], dtype=points.dtype, device=points.device)
    if align_corners:
        return (points + 1) / 2 * (extent - 1)
    return ((points + 1) * extent - 1) / 2


def regular_points(size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Normalised coordinates of the pixel centres, row by row.

    Args:
        size: (L,), (H, W) or (D, H, W).
        align_corners: whether -1 and 1 are the centres of the corner pixels.

    Returns:
        (N, ndim) points (x[, y[, z]]) in float64 on the CPU; N is the product of ``size``.
    """
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    pixel = torch.stack([axis.reshape(-1) for axis in reversed(axes)], dim=-1)
    return pixel_to_normalised(pixel, size, align_corners)


def homogeneous(points: Tensor) -> Tensor:
    """Points with a last coordinate of one.

    Args:
        points: (..., ndim) points.

    Returns:
        (..., ndim + 1) points.
    """
    return torch.cat([points, torch.ones_like(points[..., :1])], dim=-1)


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
) -> Tensor:
    """``torch.nn.functional.grid_sample`` in one dimension too, which that function does not have.

    A line is read as an image of one row at y = 0. That is the centre of the row under both settings of ``align_corners``, and
    no other row has a weight, whatever lies outside: so the numbers are exactly those of a sum over the line.

    Args:
        input: (B, C, *size).
        grid: (B, *output size, ndim) normalised points; ndim 1, 2 or 3.
        mode: ``nearest``, ``bilinear`` (linear in one dimension, trilinear in three), or ``bicubic`` (not in three).
        padding_mode: what lies outside: ``zeros``, ``border`` or ``reflection``.
        align_corners: whether -1 and 1 are the centres of the corner pixels.

    Returns:
        (B, C, *output size).
    """
    if grid.shape[-1] > 1:
        return F.grid_sample(input, grid, mode, padding_mode, align_corners)
    row = F.pad(grid, (0, 1)).unsqueeze(1)
    return F.grid_sample(input.unsqueeze(2), row, mode, padding_mode, align_corners).squeeze(2)


def mean_affine(grid: Tensor, align_corners: bool = False) -> Tensor:
    """The affine map that is nearest to a sampling grid, by least squares over its points.

    Args:
        grid: (B, *size, ndim) normalised source points.
        align_corners: whether -1 and 1 are the centres of the corner pixels.

    Returns:
        (B, ndim, ndim + 1): normalised target to source points; the grid's own map where it is affine.
    """
    points = homogeneous(regular_points(grid.shape[1:-1], align_corners))
    fit = torch.linalg.pinv(points).to(grid)
    with without_autocast(grid.device.type):
        affine: Tensor = fit @ grid.flatten(1, -2)
    return affine.transpose(1, 2)


def composed_grid(grids: Sequence[Tensor], size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Where in the input each point of the deepest output lies, after several warps in a row: the product of the warps.

    A grid pulls: with g_1 at the input and g_n the deepest, a point y of the deepest output lies at g_1(g_2(... g_n(y))) in
    the input. What stands between two warps must keep normalised coordinates. Convolutions padded to the same size do, and so
    does pooling by 2 of an even size; of an odd size n it leaves out the last pixel or adds one, and coordinates are off by up
    to 2 / n. With ``align_corners=True`` any change of size moves them.

    Between its points a grid is the affine map nearest to it plus the rest, interpolated linearly; beyond its outermost points
    the rest goes on as it is there. So the product of affine warps is exact up to rounding, wherever the points lie.

    Computed in float64 on the CPU, with gradients.

    Args:
        grids: (B, *size_i, ndim) normalised source points of each warp, from the input inwards. Their sizes may differ.
        size: (L,), (H, W) or (D, H, W): the output has a point at each pixel centre of the deepest output at this size. At the
            size of the last grid they are that grid's own points.
        align_corners: whether -1 and 1 are the centres of the corner pixels, in every grid and in ``size``.

    Returns:
        (B, *size, ndim) normalised points of the input, of the first grid's dtype and device.

    Raises:
        ValueError: for no grid, grids of different batches or dimensions, or a wrong size.
    """
    if not grids:
        raise ValueError("grids: expected at least one grid, got none")
    batch, ndim = len(grids[0]), grids[0].shape[-1]
    for i, grid in enumerate(grids):
        if grid.ndim != ndim + 2 or (len(grid), grid.shape[-1]) != (batch, ndim):
            raise ValueError(f"grids[{i}]: expected ({batch}, *size of {ndim}, {ndim}), got {tuple(grid.shape)}")
    size = checked_size(size, ndim, "size")
    points = regular_points(size, align_corners).view(1, *size, ndim).expand(batch, *size, ndim)
    for grid in reversed(grids):
        points = _grid_at(points, grid.cpu().double(), align_corners)
    return points.to(grids[0])


def _grid_at(points: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
    affine = mean_affine(grid, align_corners).transpose(1, 2)
    nodes = homogeneous(regular_points(grid.shape[1:-1], align_corners))
    rest = (grid - (nodes @ affine).view_as(grid)).movedim(-1, 1)
    between = grid_sample(rest, points, padding_mode="border", align_corners=align_corners)
    return (homogeneous(points).flatten(1, -2) @ affine).view_as(points) + between.movedim(1, -1)
