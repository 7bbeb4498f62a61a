"""How far one looks around the points of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor


class Footprint(NamedTuple):
    """A covariance ``L L'`` around each point of a grid, by its Cholesky factor ``L = [[a, 0], [b, c]]``.

    Attributes:
        x: (B, H', W') centres, normalised.
        y: (B, H', W').
        a: (B, H', W') factor, in normalised coordinates.
        b: (B, H', W').
        c: (B, H', W').
    """

    x: Tensor
    y: Tensor
    a: Tensor
    b: Tensor
    c: Tensor

    @classmethod
    def of(cls, grid: Tensor, spread: float, least: Sequence[float]) -> Self:
        """``L L' = spread^2 J J' + diag(least)^2`` with the finite differences J of the grid.

        Args:
            grid: (B, H', W', 2) normalised points. Along an axis of one point the differences count as 0.
            spread: standard deviation in output pixels, at least 0.
            least: standard deviations that are added along x and y, above 0, in normalised coordinates.
        """
        x, y = (z.contiguous() for z in grid.unbind(-1))
        (xx, xy), (yx, yy) = ([spread * _differences(z, dim) for dim in (2, 1)] for z in (x, y))
        a = (xx.square() + xy.square() + least[0] ** 2).sqrt()
        b = (xx * yx + xy * yy) / a
        rest = yx.square() + yy.square() + least[1] ** 2 - b.square()  # least[1]^2 or more, but for rounding
        return cls(x, y, a, b, rest.clamp(min=least[1] ** 2).sqrt())

    def point(self, u: Tensor, v: Tensor) -> Tensor:
        """The centres plus ``L (u, v)``: (B, H', W', 2).

        Args:
            u: (H', W'), in standard deviations.
            v: (H', W').
        """
        planes = [torch.addcmul(self.x, self.a, u), torch.addcmul(torch.addcmul(self.y, self.b, u), self.c, v)]
        return torch.stack(planes, dim=1).movedim(1, -1)  # grid_sample is as fast, stack much faster

    def gradient(self, along_u: Tensor, along_v: Tensor) -> tuple[Tensor, Tensor]:
        """The derivatives in x and y of what has these derivatives in u and v: ``L'^-1``.

        Args:
            along_u: (B, C, H', W').
            along_v: (B, C, H', W').
        """
        along_y = along_v / self.c[:, None]
        return (along_u - self.b[:, None] * along_y) / self.a[:, None], along_y


def _differences(z: Tensor, dim: int) -> Tensor:
    """From one point to the next along an axis: central differences, one-sided at the ends."""
    return torch.gradient(z, dim=dim)[0] if z.shape[dim] > 1 else torch.zeros_like(z)
