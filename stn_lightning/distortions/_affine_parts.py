"""Rotation, scale and placement."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from stn_lightning.distortions._distortion import MatrixDistortion, Size, uniform


class RandomRotation(MatrixDistortion):
    """Rotation about the centre by an angle uniform in [-degrees, degrees].

    Args:
        degrees: largest angle, in degrees, at least 0.
    """

    def __init__(self, degrees: float = 90.0) -> None:
        super().__init__()
        if not degrees >= 0:
            raise ValueError(f"expected degrees of at least 0, got {degrees}")
        self.degrees = degrees

    def extend(self, matrix: Tensor, source: Size, target: Size, generator: torch.Generator | None) -> Tensor:
        angle = uniform(len(matrix), -math.radians(self.degrees), math.radians(self.degrees), matrix, generator)
        cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
        step = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=1).view(-1, 3, 3)
        return matrix @ step


class RandomScale(MatrixDistortion):
    """Scaling about the centre by a factor uniform in [low, high].

    Args:
        low: smallest factor, above 0; below 1 the content shrinks.
        high: largest factor, at least ``low``.
    """

    def __init__(self, low: float = 0.7, high: float = 1.2) -> None:
        super().__init__()
        if not 0 < low <= high:
            raise ValueError(f"expected 0 < low <= high, got {low=}, {high=}")
        self.low, self.high = low, high

    def extend(self, matrix: Tensor, source: Size, target: Size, generator: torch.Generator | None) -> Tensor:
        inverse = 1 / uniform(len(matrix), self.low, self.high, matrix, generator)
        return matrix * torch.stack([inverse, inverse, torch.ones_like(inverse)], dim=1)[:, None]  # @ diag


class RandomPlacement(MatrixDistortion):
    """Placement in an empty canvas, uniform over the places where the scaled image lies inside.

    The sides of the scaled, not rotated, image count: a digit's ink, well inside its image, is never cut. An image larger
    than the canvas is centred.

    Args:
        size: side of the square canvas, in pixels.
    """

    def __init__(self, size: int = 42) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"expected size of at least 1 pixel, got {size}")
        self.size = size

    def output_size(self, size: Size) -> Size:
        return self.size, self.size

    def extend(self, matrix: Tensor, source: Size, target: Size, generator: torch.Generator | None) -> Tensor:
        scale = 1 / torch.linalg.det(matrix).sqrt()
        shift = [
            uniform(len(matrix), -1, 1, matrix, generator) * ((canvas - scale * side) / 2).clamp(min=0)
            for side, canvas in ((source[1], target[1]), (source[0], target[0]))
        ]
        step = torch.eye(3, device=matrix.device, dtype=matrix.dtype).repeat(len(matrix), 1, 1)
        step[:, :2, 2] = -torch.stack(shift, dim=1)
        return matrix @ step
