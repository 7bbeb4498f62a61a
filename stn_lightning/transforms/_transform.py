"""The contract of a spatial transform."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from stn_lightning.component import Component
from stn_lightning.geometry import checked_size, regular_points, without_autocast
from stn_lightning.transforms._constants import Constants, frozen


class Transform(Component, ABC):
    """A family of warps with parameters theta: a map from target (output) to source (input) coordinates.

    A subclass gives ``num_params``, ``identity`` and ``points``; ``grid`` follows from them. It may offer two methods more, in
    theta (B, P): ``inverse(theta)``, the theta of the inverse map, and ``compose(outer, inner)``, that of
    ``p -> T_outer(T_inner(p))``. Who calls them meets a ValueError where a theta has none.

    Convention:
        Points are normalised, (x[, y[, z]]); theta maps target points to source points.

    Attributes:
        num_params: P, the number of parameters of one warp.
        ndim: dimensions of the space, 1 to 3.
        has_identity: whether some theta leaves every point where it is.
        inverse_tolerance: how far, in normalised units and float64, ``inverse`` and ``compose`` may be off inside the image.
    """

    num_params: int
    ndim: ClassVar[int] = 2
    has_identity: bool = True
    inverse_tolerance: ClassVar[float] = 1e-9

    def __init__(self) -> None:
        super().__init__()
        self._constants = Constants()

    @abstractmethod
    def identity(self) -> Tensor:
        """The theta of the identity, (P,) in float32; where there is none, a theta that is a sensible start."""

    def initial(self) -> Tensor:
        """The theta at which a localisation net starts, (P,)."""
        return self.identity()

    @abstractmethod
    def points(self, theta: Tensor, xy: Tensor) -> Tensor:
        """Source points of target points.

        Args:
            theta: (B, P), float32 or float64.
            xy: (N, ndim) normalised target points of theta's dtype and device.

        Returns:
            (B, N, ndim) normalised source points.
        """

    def grid(self, theta: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
        """The sampling grid: source points of the regular grid of an output.

        Args:
            theta: (B, P) parameters. Half precision is promoted to float32.
            size: (L,), (H, W) or (D, H, W) of the output, in pixels.
            align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges (False).

        Returns:
            (B, *size, ndim) normalised source points, float32, or float64 where theta is.

        Raises:
            ValueError: if theta is not a floating-point (B, P), or ``size`` not ``ndim`` positive integers.
        """
        size = self._checked(theta, size)
        theta = theta if theta.dtype == torch.float64 else theta.float()
        with without_autocast(theta.device.type):
            points = self._regular(theta, size, align_corners)
        return points.reshape(theta.shape[0], *size, self.ndim)

    def _regular(self, theta: Tensor, size: tuple[int, ...], align_corners: bool) -> Tensor:
        """(B, N, ndim) source points of the regular grid."""
        (xy,) = self._regular_points(size, align_corners, theta.dtype, theta.device)
        return self.points(theta, xy)

    @frozen
    def _regular_points(
        self, size: tuple[int, ...], align_corners: bool, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor, ...]:
        build: Callable[[], tuple[Tensor, ...]] = lambda: (regular_points(size, align_corners),)
        return self._constants.get(("points", size, align_corners), build, dtype, device)

    def _checked(self, theta: Tensor, size: Sequence[int]) -> tuple[int, ...]:
        name = type(self).__name__
        if theta.ndim != 2 or theta.shape[1] != self.num_params:
            raise ValueError(f"{name}: expected theta of shape (B, {self.num_params}), got {tuple(theta.shape)}")
        if not theta.is_floating_point():
            raise ValueError(f"{name}: expected a floating-point theta, got {theta.dtype}")
        return checked_size(size, self.ndim, f"{name}, output size")
