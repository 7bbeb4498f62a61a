"""Dense displacement."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.geometry import checked_size, normalised_to_pixel, regular_points
from stn_lightning.transforms._constants import frozen
from stn_lightning.transforms._product import linear_forms
from stn_lightning.transforms._transform import Transform


class Flow(Transform):
    """A field of displacements: the sampling grid itself is regressed, with nothing that ties its points together.

    ``f(p) = p + d(p)``: d is given at the pixel centres of an image of ``size``, bilinear between them, and beyond the
    outermost it goes on as it is there. At an output of that size every pixel has a displacement of its own, which "suffers
    from noisy gradients", as the authors answered their reviewers; for this there is the penalty ``Smoothness``. A small size
    is a coarse field, whose gradients are sums over many pixels.

    Convention:
        theta = (dx1, dy1, dx2, dy2, ...): source minus target point at each pixel centre of ``size``, row by row, in
        normalised units. Identity 0.

    Args:
        size: (H, W) of the field, or one number for both; theta has 2 H W numbers.

    Raises:
        ValueError: for a ``size`` that is not positive.
    """

    def __init__(self, size: int | tuple[int, int] = 8) -> None:
        super().__init__()
        self.size = checked_size((size, size) if isinstance(size, int) else size, self.ndim, "size")
        self.num_params = 2 * self.size[0] * self.size[1]

    def identity(self) -> Tensor:
        return torch.zeros(self.num_params)

    def points(self, theta: Tensor, xy: Tensor) -> Tensor:
        wide = xy.double() if xy.device.type != "mps" else xy
        across, down = (weights.to(theta.dtype) for weights in self._weights(wide))
        field = linear_forms(self._columns(theta), across).view(theta.shape[0], 2, self.size[0], xy.shape[0])
        return xy + (field * down).sum(2).transpose(1, 2)

    def _regular(self, theta: Tensor, size: tuple[int, ...], align_corners: bool) -> Tensor:
        """One axis after the other."""
        across, down, base = self._separate(size, align_corners, theta.dtype, theta.device)
        field = linear_forms(self._columns(theta), across).view(theta.shape[0], 2, self.size[0], size[1])
        field = linear_forms(field.transpose(2, 3).flatten(1, 2), down).view(theta.shape[0], 2, size[1], size[0])
        return base + field.permute(0, 3, 2, 1).flatten(1, 2)

    def _columns(self, theta: Tensor) -> Tensor:
        """(B, 2 H, W): the rows of the field, those of x before those of y."""
        return theta.view(theta.shape[0], *self.size, 2).movedim(-1, 1).flatten(1, 2)

    def _weights(self, xy: Tensor) -> list[Tensor]:
        """What each column and each row of the field contributes to points (N, 2): (W, N) and (H, N)."""
        where = normalised_to_pixel(xy, self.size).unbind(-1)
        hats = []
        for pixel, count in zip(where, reversed(self.size), strict=True):
            knots = torch.arange(count, dtype=xy.dtype, device=xy.device)
            hats.append((1 - (pixel.clamp(0, count - 1) - knots[:, None]).abs()).clamp(min=0))
        return hats

    @frozen
    def _separate(
        self, size: tuple[int, ...], align_corners: bool, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor, ...]:
        def build() -> tuple[Tensor, ...]:
            xy = regular_points(size, align_corners)
            across, down = self._weights(xy)
            return across[:, : size[1]], down[:, :: size[1]], xy

        return self._constants.get(("separate", size, align_corners), build, dtype, device)
