"""Linearised multi-sampling."""

from __future__ import annotations

import math
from typing import Literal

import torch
from stn_lightning.samplers import Bilinear
from torch import Tensor

from stn_multisampling._footprint import Footprint
from stn_multisampling._pattern import gaussian_pattern, turns


class Multisampling(Bilinear):
    """Bilinear values with the gradients of linearised multi-sampling (Jiang et al., ICCV 2019).

    Around each grid point ``g0`` the output is ``I(g0) + (g - g0) . s``: I is bilinear interpolation, s the slope of the plane
    that fits I best, by least squares, at auxiliary points around ``g0``. The slope of I itself is the difference of two
    neighbouring pixels, however far apart the grid points lie; s sees the pixels between them.

    The auxiliary points have the covariance ``spread^2 J J' + input_spread^2 D^2``, where J holds the grid's finite
    differences from one output pixel to the next, and D the size of an input pixel. They follow a fixed pattern: nothing is
    random. s is about the gradient of the image blurred by a Gaussian of that covariance.

    To autograd s is a constant. The gradient in the input is exactly that of ``bilinear``; second derivatives that involve the
    grid are those of the linear model: 0 of the output itself, Gauss-Newton's of a squared error. Where gradients are off
    (``torch.no_grad``) only the bilinear interpolation is computed, or exported.

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` pixels, or its ``reflection``.
        samples: auxiliary points of each grid point, at least 3. Each costs one more bilinear interpolation in training.
        spread: their standard deviation in output pixels, which the warp carries into the input; at least 0.
        input_spread: a standard deviation in input pixels, above 0, that is added to it (as variances add): points do not
            collapse where the warp enlarges.

    Raises:
        ValueError: for an argument out of range.
    """

    grid_gradient = "surrogate"

    def __init__(
        self,
        padding_mode: Literal["zeros", "border", "reflection"] = "zeros",
        samples: int = 8,
        spread: float = 0.5,
        input_spread: float = 0.5,
    ) -> None:
        super().__init__(padding_mode)
        if samples < 3:
            raise ValueError(f"expected samples of at least 3, got {samples}")
        if not (0 <= spread < math.inf and 0 < input_spread < math.inf):
            raise ValueError(f"expected spread >= 0 and input_spread > 0, both finite; got {spread=}, {input_spread=}")
        self.samples, self.spread, self.input_spread = samples, spread, input_spread
        self._pattern: list[list[float]] = gaussian_pattern(samples).tolist()

    def sample(self, input: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
        if not torch.is_grad_enabled():
            return super().sample(input, grid, align_corners)
        centre = grid.detach()
        slope_x, slope_y = self.slope(input, centre, align_corners)
        dx, dy = (grid - centre)[:, None].unbind(-1)
        return super().sample(input, centre, align_corners) + dx * slope_x + dy * slope_y

    @torch.no_grad()
    def slope(self, input: Tensor, grid: Tensor, align_corners: bool = False) -> tuple[Tensor, Tensor]:
        """The slope of the plane, per unit of a normalised coordinate.

        The auxiliary points are ``g0 + L u``, with a pattern u of mean 0 and covariance I. The normal equations of the plane
        are therefore solved by ``s = L'^-1 h``, where h is the mean of ``I(g0 + L u) u``.

        Args:
            input: (B, C, H, W) feature map.
            grid: (B, H', W', 2) normalised points.
            align_corners: whether -1 and 1 are the centres of the corner pixels.

        Returns:
            the slopes along x and along y, each (B, C, H', W').
        """
        pixel = [2 / max(n - align_corners, 1) for n in (input.shape[3], input.shape[2])]
        footprint = Footprint.of(grid, self.spread, [self.input_spread * side for side in pixel])
        angle = turns(grid.shape[1:3], like=grid)
        cos, sin = angle.cos(), angle.sin()
        along_u = along_v = input.new_zeros(())
        for x, y in self._pattern:
            u, v = x * cos - y * sin, x * sin + y * cos
            value = super().sample(input, footprint.point(u, v), align_corners)
            along_u, along_v = torch.addcmul(along_u, value, u), torch.addcmul(along_v, value, v)
        return footprint.gradient(along_u / self.samples, along_v / self.samples)
