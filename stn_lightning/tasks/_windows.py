"""Windows: where transformers start, and what they cover."""

from __future__ import annotations

from math import ceil, sqrt

import torch
from torch import Tensor

from stn_lightning.geometry import mean_affine
from stn_lightning.transforms import LinearTransform, MatrixTransform, Transform

TOLERANCE = 1e-6
SAMPLES = 5


def tiling(transform: Transform, heads: int, scale: float) -> Tensor:
    """Thetas (K, P) of windows that tile the image: in rows and columns, from edge to edge, overlapping where they must.

    Two windows stand side by side, four in a square.

    Args:
        transform: what the windows are made by.
        heads: K, number of windows.
        scale: side of a window relative to the image, in (0, 1].

    Raises:
        ValueError: if the transform makes no upright windows of this scale: then ``initial`` must be given.
    """
    if heads == 1:
        return _window(transform, scale, *[0.0] * transform.ndim)[None].float()
    if transform.ndim != 2:
        raise ValueError(f"expected initial, the thetas of all windows: those of {type(transform).__name__} tile no image")
    columns = ceil(sqrt(heads))
    rows = ceil(heads / columns)
    centres = [
        (_spread(i % columns, min(columns, heads - i // columns * columns), scale), _spread(i // columns, rows, scale))
        for i in range(heads)
    ]
    thetas = [_window(transform, scale, *centre) for centre in centres]
    return torch.stack(thetas).float()


def _spread(i: int, count: int, scale: float) -> float:
    return 0.0 if count == 1 else (1 - scale) * (2 * i / (count - 1) - 1)


def _window(transform: Transform, scale: float, *centre: float) -> Tensor:
    """Theta (P,) of the upright window of a scale and centre."""
    line = torch.linspace(-1, 1, SAMPLES, dtype=torch.float64)
    xy = torch.cartesian_prod(*[line] * transform.ndim).view(-1, transform.ndim)
    wanted = scale * xy + xy.new_tensor(centre)
    if isinstance(transform, LinearTransform):
        unit = torch.eye(transform.num_params, dtype=torch.float64)
        base = transform.points(torch.zeros_like(unit[:1]), xy)
        basis = (transform.points(unit, xy) - base).flatten(1)
        theta = torch.linalg.lstsq(basis.T, (wanted - base[0]).flatten()[:, None]).solution[:, 0]
    elif isinstance(transform, MatrixTransform):
        theta = transform.from_matrix(wanted.new_tensor([[[scale, 0, centre[0]], [0, scale, centre[1]], [0, 0, 1]]]))[0]
    else:
        raise ValueError(f"expected initial, the thetas of all windows: {type(transform).__name__} has no upright windows")
    off = float((transform.points(theta[None], xy)[0] - wanted).abs().max())
    if not off < TOLERANCE:
        raise ValueError(
            f"expected a transform that makes upright windows of {scale} of the image, or initial: those of "
            f"{type(transform).__name__} are off by {off:.2g}"
        )
    found: Tensor = theta
    return found


def covers(grid: Tensor, points: Tensor) -> Tensor:
    """Whether points of the image lie inside a window: (B, P) bool.

    Args:
        grid: (B, H, W, 2) normalised source points of the window, of which the nearest affine map is taken.
        points: (B, P, 2) normalised points of the image.
    """
    affine = mean_affine(grid.detach().float())
    matrix, shift = affine[:, :, :2], affine[:, :, 2]
    target: Tensor = torch.linalg.solve_ex(matrix, (points.float() - shift[:, None]).transpose(1, 2)).result
    return (target.abs() <= 1).all(1)


def box_iou(grid: Tensor, box: Tensor) -> Tensor:
    """Intersection over union (B,) of the upright rectangle around a window with a box, inside the image.

    Args:
        grid: (B, H, W, 2) normalised source points.
        box: (B, 4) left, top, right, bottom, normalised.
    """
    low, high = grid.amin((1, 2)), grid.amax((1, 2))
    return iou(torch.cat([low, high], dim=1), box)


def rectangles(transform: Transform, theta: Tensor) -> Tensor:
    """The upright rectangle around the corners of each window: (B, 4) left, top, right, bottom, normalised.

    Args:
        transform: of the windows.
        theta: (B, P).
    """
    line = theta.new_tensor([-1.0, 1.0])
    corners = transform.points(theta, torch.cartesian_prod(line, line))
    return torch.cat([corners.amin(1), corners.amax(1)], dim=1)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union (B,) of boxes (B, 4), left, top, right, bottom, normalised, inside the image."""
    first, second = first.clamp(-1, 1), second.clamp(-1, 1)  # both may leave it
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    areas = (first[:, 2:] - first[:, :2]).prod(1) + (second[:, 2:] - second[:, :2]).prod(1)
    return shared / (areas - shared).clamp(min=1e-12)
