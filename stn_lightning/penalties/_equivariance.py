"""Penalty for windows that do not follow when the image moves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from stn_lightning.distortions import MatrixDistortion, RandomRotation, RandomScale
from stn_lightning.distortions._distortion import matrix_of, normalised, uniform
from stn_lightning.geometry import without_autocast
from stn_lightning.networks import Output
from stn_lightning.penalties._penalty import Penalty
from stn_lightning.samplers import Bilinear
from stn_lightning.transforms import Affine


class Equivariance(Penalty):
    """What a window shows should not change when the image is moved: theta(T_b x) should be theta(x), moved along.

    ``T_b x`` is the image x resampled under a random similarity b: its point p shows ``b(p)`` of x. A grid G(x) maps points of
    the output to points of x, so that of T_b x, mapped on by b, should be the same: ``b(G(T_b x)) = G(x)``, or theta(T_b x) =
    b^-1 theta(x) as matrices (``Transform.compose``). The cost is the mean squared distance of these points, relative to the
    window's own extent, so that a smaller window costs no less. It compares grids, so any transform will do, and it teaches
    without labels: a transformer that does the same to every image pays.

    Each step sees the images twice, at twice the cost. Those transformers count that see the image: the first in a row, or
    the parallel ones at its place. T_b x goes on outside as its pixels at the frame do.

    Args:
        weight: factor of the cost, at least 0.
        degrees: largest angle of b, in degrees.
        scale: largest factor of b, at least 1; the smallest is its inverse.
        shift: largest shift of b, in normalised units.
        align_corners: the setting of the spatial transformers.

    Raises:
        ValueError: for an argument out of range.
    """

    def __init__(
        self,
        weight: float = 1.0,
        degrees: float = 30.0,
        scale: float = 1.2,
        shift: float = 0.2,
        align_corners: bool = False,
    ) -> None:
        super().__init__(weight)
        if not (scale >= 1 and shift >= 0):
            raise ValueError(f"expected scale of at least 1 and shift of at least 0, got {scale=}, {shift=}")
        self._chain: list[MatrixDistortion] = [RandomRotation(degrees), RandomScale(1 / scale, scale)]
        self.shift, self.align_corners = shift, align_corners

    def cost(self, output: Output, images: Tensor, network: Callable[[Tensor], Output]) -> Tensor:
        first = next(iter(output.warps), "").partition(".")[0]
        names = [name for name in output.warps if name.partition(".")[0] == first]
        if not names:
            return output.prediction.new_zeros(())
        if images.ndim != 4:
            raise ValueError(f"Equivariance: expected images (B, C, H, W), got {tuple(images.shape)}")
        b = self._draw(images)
        places = _AFFINE.grid(b.flatten(1), images.shape[2:], self.align_corners)
        moved = network(_BILINEAR(images, places, self.align_corners))
        costs = [squared_distance(mapped(moved.warps[name].grid, b), output.warps[name].grid).mean() for name in names]
        return torch.stack(costs).mean()

    def _draw(self, images: Tensor) -> Tensor:
        """b, (B, 2, 3) in normalised coordinates."""
        size = images.shape[2], images.shape[3]
        matrix, _ = matrix_of(self._chain, images, None)
        matrix = normalised(matrix, size, size)[:, :2]
        shifts = [uniform(len(matrix), -self.shift, self.shift, matrix, None) for _ in range(2)]
        return torch.cat([matrix[:, :, :2], torch.stack(shifts, dim=1)[:, :, None]], dim=2)


def mapped(grid: Tensor, affine: Tensor) -> Tensor:
    """The points of a grid (B, H, W, 2), each mapped by the affine map (B, 2, 3) of its sample."""
    with without_autocast(grid.device.type):
        points = grid.flatten(1, 2) @ affine[:, :, :2].transpose(1, 2).to(grid) + affine[:, None, :, 2].to(grid)
    return points.view_as(grid)


def squared_distance(grid: Tensor, other: Tensor) -> Tensor:
    """The mean squared distance (B,) of the points of grids (B, H, W, 2), relative to the mean variance of their points."""
    extent = sum(g.var((1, 2), correction=0).sum(-1) for g in (grid, other)) / 2
    distance: Tensor = (grid - other).square().sum(-1).mean((1, 2)) / (extent + 1e-6)
    return distance


_AFFINE, _BILINEAR = Affine(), Bilinear("border")
