"""B-spline sampler."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stn_lightning.geometry import normalised_to_pixel
from stn_lightning.samplers._gathered import folded, gathered
from stn_lightning.samplers._sampler import PaddingMode, Sampler
from stn_lightning.transforms._constants import Constants, frozen
from stn_lightning.transforms._product import linear_forms

# pixels after which the prefilter's decay (Unser et al. 1993) leaves less than 1e-7, by order
MARGIN = {2: 10, 3: 13, 4: 16, 5: 20}


class BSpline(Sampler):
    """The interpolating spline (Unser et al. 1993): the one spline that has the value of every pixel at its centre.

    It has ``order - 1`` continuous derivatives. The input is continued to infinity, as ``padding_mode`` says, before the
    spline is laid through it. From pixels to B-spline coefficients leads one constant matrix for each axis; a point then
    reads ``order + 1`` coefficients along each axis. The spline may overshoot the range of the input, and rings where the
    input jumps, as it does at the frame under ``zeros``.

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` pixels, its ``reflection``, or its mean
            ``background``, see ``Sampler``. In scipy's ``map_coordinates``, ``reflection`` is the mode ``reflect``, with
            ``align_corners`` ``mirror``; ``zeros`` and ``border`` are ``grid-constant`` and ``nearest``: outside, the spline
            swings to rest within 10 to 20 pixels.
        order: degree of the polynomials of which the spline consists, 2 to 5.

    Raises:
        ValueError: for another order, or an unknown ``padding_mode``.
    """

    def __init__(self, padding_mode: PaddingMode = "zeros", order: int = 3) -> None:
        super().__init__(padding_mode)
        if order not in MARGIN:
            raise ValueError(f"expected order one of {', '.join(map(str, MARGIN))}; got {order!r}")
        self.order = order
        self._constants = Constants()

    def sample(self, input: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
        margin = 0 if self.padding_mode == "reflection" else MARGIN[self.order]
        coefficients = input
        for _ in range(self.ndim):  # of the last axis, which thereby becomes the first
            *others, size = coefficients.shape
            (prefilter,) = self._prefilter(size, margin, align_corners, input.dtype, input.device)
            filtered = linear_forms(coefficients.flatten(1, -2), prefilter)
            coefficients = filtered.view(*others, size + 2 * margin).movedim(-1, 2)
        points = normalised_to_pixel(grid.flatten(1, -2), input.shape[2:], align_corners)
        output = gathered(coefficients, points, self._kernel, self.padding_mode, align_corners, margin)
        return output.view(*input.shape[:2], *grid.shape[1:-1])

    def _kernel(self, pixel: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """The B-spline by the recursion of Cox and de Boor, on uniform knots."""
        start = pixel - (self.order - 1) / 2
        first = start.floor()
        t = start - first
        zero, weights = torch.zeros_like(t), [torch.ones_like(t)]
        for n in range(1, self.order + 1):
            pairs = zip([zero, *weights], [*weights, zero], strict=True)
            weights = [((t + (n - j)) * left + ((1 + j) - t) * right) / n for j, (left, right) in enumerate(pairs)]
        return first, weights

    @frozen
    def _prefilter(
        self, size: int, margin: int, align_corners: bool, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor, ...]:
        build: Callable[[], tuple[Tensor, ...]] = lambda: (self._inverse(size, margin, align_corners),)
        return self._constants.get((size, margin, align_corners), build, dtype, device)

    def _inverse(self, size: int, margin: int, align_corners: bool) -> Tensor:
        """(size, size + 2 margin): from the pixels of an axis to the coefficients of the axis and its margins."""
        places = torch.arange(-margin, size + margin)
        count = len(places)
        continued = torch.eye(count, dtype=torch.float64)[:, margin : margin + size]
        if self.padding_mode != "zeros":
            continued = torch.eye(size, dtype=torch.float64)[folded(places, size, self.padding_mode, align_corners)]
        first, weights = self._kernel(torch.zeros((), dtype=torch.float64))
        values = torch.zeros(count, count, dtype=torch.float64)  # of each B-spline at each place
        for offset, weight in enumerate(weights, int(first)):
            where = folded(torch.arange(count) + offset, count, self.padding_mode, align_corners)
            values += weight * torch.eye(count, dtype=torch.float64)[where]
        coefficients: Tensor = torch.linalg.solve(values, continued)
        if margin:  # what goes on beyond it is constant
            coefficients[[0, -1]] = continued[[0, -1]]
        return coefficients.T
