"""Log-polar transform with a learned origin."""

from __future__ import annotations

import math

import torch
from stn_lightning.transforms import LinearTransform
from torch import Tensor


class Polar(LinearTransform):
    """Log-polar coordinates about a learned origin: Polar Transformer Networks (Esteves et al., ICLR 2018).

    ``(x', y') = (x0 + kx r cos a, y0 + ky r sin a)`` with ``r = inner^((1 - x) / 2) outer^((1 + x) / 2)`` and
    ``a = pi (1 + y)``. A clockwise rotation of the input about the origin is a cyclic shift of the output down, an
    enlargement a shift to the right. The rays are a constant pattern that theta moves: linear in theta.

    Convention:
        theta = (x0, y0), the origin in normalised source coordinates; no identity; it starts at (0, 0), the centre. Target x
        is the logarithm of the radius, from ``inner_radius`` at -1 to ``outer_radius`` at 1. Target y is the angle, from 0 at
        -1 (a ray to the right) clockwise to a full turn at 1: pixel rows divide the circle evenly with
        ``align_corners=False``, while with True the first row comes again as the last. Radii are in half diagonals of the
        image: 1 reaches from its centre to its corners; kx and ky bring them to normalised coordinates.

    Args:
        inner_radius: radius at the left edge of the output, above 0. (The paper's is 1 pixel: 0.05 at 28x28.)
        outer_radius: radius at the right edge, above ``inner_radius``. (The paper's is 1.)
        aspect: width / height of the input in pixels, above 0: circles are then circles of pixels. With
            ``align_corners=True``, (width - 1) / (height - 1).

    Raises:
        ValueError: for an argument out of range.
    """

    num_params = 2
    has_identity = False

    def __init__(self, inner_radius: float = 0.05, outer_radius: float = 1.0, aspect: float = 1.0) -> None:
        super().__init__()
        if not 0 < inner_radius < outer_radius < math.inf:
            raise ValueError(f"expected 0 < inner_radius < outer_radius, both finite; got {inner_radius=}, {outer_radius=}")
        if not 0 < aspect < math.inf:
            raise ValueError(f"expected a finite aspect above 0, got {aspect}")
        self.inner_radius, self.outer_radius, self.aspect = inner_radius, outer_radius, aspect

    def identity(self) -> Tensor:
        return torch.zeros(2)

    def coefficients(self, theta: Tensor) -> Tensor:
        return theta[:, :, None]

    def basis(self, xy: Tensor) -> Tensor:
        return torch.ones_like(xy[:, :1]).T

    def base(self, xy: Tensor) -> Tensor:
        radius = self.inner_radius * (self.outer_radius / self.inner_radius) ** ((1 + xy[:, :1]) / 2)
        angle = math.pi * (1 + xy[:, 1:])
        half_diagonal = xy.new_tensor([math.hypot(1, 1 / self.aspect), math.hypot(1, self.aspect)])
        return half_diagonal * radius * torch.cat([angle.cos(), angle.sin()], dim=1)
