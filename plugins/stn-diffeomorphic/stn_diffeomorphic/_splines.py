"""Velocity fields of uniform cubic B-splines."""

from __future__ import annotations

import torch
from torch import Tensor

STEEPEST = 2.0464  # over a cell, the largest sum of |B'(x - j) B(y - k) + B(x - j) B'(y - k)| over all j and k, rounded up


def cubic(t: Tensor) -> Tensor:
    """The cubic B-spline of unit knots, centred at 0: twice continuously differentiable, 0 from 2 on.

    The inner piece is written in ``t * t``, so that autograd's second derivative is right at 0 too, where |t| has none.
    """
    distance, squared = t.abs(), t * t
    inner = 2 / 3 - squared + squared * distance / 2
    return torch.where(distance < 1, inner, (2 - distance).clamp(min=0) ** 3 / 6)


def velocity(control: Tensor, where: Tensor) -> Tensor:
    """A velocity field at points: ``v(x, y) = sum_rc control_rc B(x - c) B(y - r)``.

    Sums by broadcasting, not by a matrix product: that may be rounded to TF32 on a GPU.

    Args:
        control: (B, 2, R, C) velocities of the control points, x and y.
        where: (B, 2, N) points; control point (r, c) is at x = c, y = r.

    Returns:
        (B, 2, N).
    """
    rows, columns = control.shape[2:]
    knots = torch.arange(max(rows, columns), dtype=where.dtype, device=where.device)
    x, y = cubic(where[:, :, None] - knots[:, None]).unbind(1)  # (B, max(R, C), N) each
    along_x = (control[..., None] * x[:, None, None, :columns]).sum(3)
    return (along_x * y[:, None, :rows]).sum(2)
