"""Clipping of the gradient of theta, sample by sample."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def with_clipped_gradient(theta: Tensor, times: float) -> Tensor:
    """Theta itself, through which no sample sends back a gradient far longer than that of the others.

    A gradient longer than ``times`` the median of the batch is shortened to that; a head of a sample that has none, since its
    window lies outside the image, does not count. What is relative needs no unit: it is the same under accumulation, under
    the scaled losses of float16, and in each process.

    Args:
        theta: (B, K, P).
        times: largest norm, relative to the median of the batch.
    """
    clipped: Tensor = _Clip.apply(theta, times)
    return clipped


class _Clip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, theta: Tensor, times: float) -> Tensor:
        ctx.times = times
        return theta.view_as(theta)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return clipped_gradient(gradient, ctx.times), None


def clipped_gradient(gradient: Tensor, times: float) -> Tensor:
    """A gradient (B, K, P), of which none (P,) is longer than ``times`` the median length of those that are not zero."""
    length = torch.linalg.vector_norm(gradient, dim=2, keepdim=True)
    median = length.where(length > 0, torch.nan).nanmedian()
    return torch.where(length > times * median, gradient * (times * median / length), gradient)
