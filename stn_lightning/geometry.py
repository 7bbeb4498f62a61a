"""The coordinate contract as pure functions.

Convention:
    - Points are (x, y[, z]); sizes are (H, W) or (D, H, W). The last size belongs to x.
    - Normalised coordinates span the image by [-1, 1]. With ``align_corners=False`` -1 and 1 are the outer edges of the corner
      pixels, with ``align_corners=True`` their centres.
    - A transform maps target (output) to source (input) coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import index

import torch
from torch import Tensor


def checked_size(size: object, ndim: int, name: str) -> tuple[int, ...]:
    """A size as a tuple of positive integers.

    Args:
        size: what should be (H, W) or (D, H, W).
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
        names = "(H, W)" if ndim == 2 else "(D, H, W)"
        raise ValueError(f"{name}: expected {ndim} positive integers {names}, got {size}")
    return sizes


def without_autocast(device_type: str) -> AbstractContextManager[None]:
    """A context in which products keep the dtype of their factors: bfloat16 coordinates are wrong by pixels."""
    if torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def pixel_to_normalised(pixel: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Normalised coordinates of pixel coordinates (0 is the centre of the first pixel).

    Args:
        pixel: (..., ndim) points, (x, y[, z]).
        size: (H, W) or (D, H, W) of the image.
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
        points: (..., ndim) points, (x, y[, z]).
        size: (H, W) or (D, H, W) of the image.
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
        size: (H, W) or (D, H, W).
        align_corners: whether -1 and 1 are the centres of the corner pixels.

    Returns:
        (N, ndim) points (x, y[, z]) in float64 on the CPU; N is the product of ``size``.
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
    affine: Tensor = fit @ grid.flatten(1, -2)
    return affine.transpose(1, 2)
