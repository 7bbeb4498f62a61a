"""Diffeomorphic transform."""

from __future__ import annotations

from math import ceil, log

import torch
from stn_lightning.transforms import Transform
from torch import Tensor

from stn_diffeomorphic._splines import STEEPEST, velocity


class Diffeomorphic(Transform):
    """Smooth invertible warp: the flow, after unit time, of a stationary velocity field on a control grid.

    ``dp/dt = v(p)``, ``v(x, y) = sum_rc u_rc B((x - x_c) / h_x) B((y - y_r) / h_y)``, ``u = V tanh(theta / V)``

    B is the cubic B-spline: the logarithm of a diffeomorphism (Arsigny et al. 2006) on a free-form control grid (Rueckert et
    al. 1999). Each point follows v by ``steps`` Runge-Kutta steps of order 4.

    No theta folds the image. In the maximum norm v has the Lipschitz constant ``L <= 2.0464 V / min(h_x, h_y)``, and
    ``steps >= L / log 2`` makes the increment of every step a contraction (constant below ``exp(L / steps) - 1 <= 1``): each
    step, and so the warp, is a bijection of the plane, twice continuously differentiable, with positive Jacobian.

    Convention:
        theta = (u1 v1 u2 v2 ...), x and y of the velocity of each control point, row by row, in half widths and half heights
        of the image per unit time; a control point is a coefficient of the spline, which smooths: at the point itself v is
        4/9 its own velocity and 5/9 its neighbours'. It maps normalised target to source points, and no point by more than
        ``max_velocity`` along x or y. Identity 0. Beyond two spacings outside the control grid nothing moves.

    Args:
        grid_size: control points per side, or (rows, columns); at least 2 each.
        max_velocity: V, the largest velocity of a control point along x or y, above 0; 0.4 is a fifth of the image. More
            needs more steps.
        fixed_frame: whether the frame of the image stays where it is: the control points then lie inside, two spacings from
            it, instead of over [-1, 1].

    Attributes:
        steps: Runge-Kutta steps, of four evaluations of v each.

    Raises:
        ValueError: for fewer than 2 control points per side, or a ``max_velocity`` that is not above 0 and finite.
    """

    inverse_tolerance = 5e-3  # the worst theta found at max_velocity=2; 2e-4 at 0.4: benchmarks/inverse.py

    def __init__(self, grid_size: int | tuple[int, int] = 4, max_velocity: float = 0.4, fixed_frame: bool = False) -> None:
        super().__init__()
        size = (grid_size, grid_size) if isinstance(grid_size, int) else tuple(grid_size)
        if len(size) != 2 or min(size) < 2:
            raise ValueError(f"expected grid_size of at least 2 control points per side, got {grid_size}")
        if not 0 < max_velocity < float("inf"):
            raise ValueError(f"expected max_velocity above 0 and finite, got {max_velocity}")
        self.num_params = 2 * size[0] * size[1]
        self.max_velocity = max_velocity
        self._size = size
        self._spacing = tuple(2 / (n + 3 if fixed_frame else n - 1) for n in reversed(size))  # of x and y
        self.steps = ceil(STEEPEST * max_velocity / min(self._spacing) / log(2))

    def identity(self) -> Tensor:
        return torch.zeros(self.num_params)

    def inverse(self, theta: Tensor) -> Tensor:
        """Theta of the inverse map: the way back along the same velocities.

        Args:
            theta: (B, P).

        Returns:
            (B, P).
        """
        return -theta

    def points(self, theta: Tensor, xy: Tensor) -> Tensor:
        """Copies to and from planes of x and y: strides of pairs would last through all steps, several times slower."""
        spacing = theta.new_tensor(self._spacing)[:, None]
        velocities = self.max_velocity * torch.tanh(theta / self.max_velocity)
        control = velocities.view(-1, *self._size, 2).permute(0, 3, 1, 2) / spacing[..., None]
        target = xy.T.contiguous()
        start = target / spacing + (spacing.new_tensor(self._size[::-1])[:, None] - 1) / 2  # in spacings from the first point
        moved = torch.zeros_like(start)[None]
        for _ in range(self.steps):
            moved = moved + self._step(control, start + moved)
        return torch.stack((target + moved * spacing).unbind(1), dim=-1)

    def _step(self, control: Tensor, where: Tensor) -> Tensor:
        """What a Runge-Kutta step adds to points (B, 2, N)."""
        time = 1 / self.steps
        first = velocity(control, where)
        second = velocity(control, where + time / 2 * first)
        third = velocity(control, where + time / 2 * second)
        fourth = velocity(control, where + time * third)
        return time / 6 * (first + 2 * (second + third) + fourth)
