"""The contract of a sampler."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from stn_lightning.component import Component
from stn_lightning.geometry import SIZE

PaddingMode = Literal["zeros", "border", "reflection", "background"]


class Sampler(Component, ABC):
    """Reads a feature map at the points of a grid. A subclass gives ``sample``.

    Convention:
        Grid points are normalised (x[, y[, z]]) of the input: [-1, 1] spans it.

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` pixels, its ``reflection``, or its ``background``:
            one value for each sample and channel, the mean of the outermost pixels.

    Attributes:
        ndim: dimensions of the space, 1 to 3.
        padding_mode: by what ``sample`` continues its input; ``zeros`` where ``forward`` takes a background off and adds it.
        background: whether the background lies outside.
        grid_gradient: what flows back to the grid: the ``exact`` derivative of the output, a ``surrogate`` that is meant to
            teach better than the exact one, or ``none``.

    Raises:
        ValueError: for an unknown ``padding_mode``.
    """

    ndim: ClassVar[int] = 2
    grid_gradient: ClassVar[Literal["exact", "surrogate", "none"]] = "exact"

    def __init__(self, padding_mode: PaddingMode = "zeros") -> None:
        super().__init__()
        if padding_mode not in get_args(PaddingMode):
            raise ValueError(f"expected padding_mode one of {', '.join(get_args(PaddingMode))}; got {padding_mode!r}")
        self.background = padding_mode == "background"
        self.padding_mode: PaddingMode = "zeros" if self.background else padding_mode

    def forward(self, input: Tensor, grid: Tensor, align_corners: bool = False) -> Tensor:
        """The input at the points of the grid.

        Args:
            input: (B, C, *size) feature map, floating point; the size is (L,), (H, W) or (D, H, W).
            grid: (B, *output size, ndim) normalised points, float32 or float64.
            align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges (False).

        Returns:
            (B, C, *output size), of the input's dtype. Half-precision features are read in the grid's precision.

        Raises:
            ValueError: for another rank, size or dtype.
        """
        self._check(input, grid)
        exact = torch.promote_types(input.dtype, grid.dtype)
        image, points = input.to(exact), grid.to(exact)
        if not self.background:
            return self.sample(image, points, align_corners).to(input.dtype)
        # the kernels reproduce constants: of the rest, zeros lie outside
        value = frame_mean(image)
        return (self.sample(image - value, points, align_corners) + value).to(input.dtype)

    @abstractmethod
    def sample(self, input: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
        """``forward`` on checked arguments of one dtype, float32 or float64."""

    def _check(self, input: Tensor, grid: Tensor) -> None:
        name = type(self).__name__
        sizes = SIZE[self.ndim]
        if input.ndim != self.ndim + 2 or 0 in input.shape[2:]:
            raise ValueError(f"{name}: expected input of shape (B, C, {sizes}), got {tuple(input.shape)}")
        if grid.ndim != self.ndim + 2 or grid.shape[-1] != self.ndim:
            raise ValueError(f"{name}: expected grid of shape (B, {sizes}, {self.ndim}), got {tuple(grid.shape)}")
        if grid.shape[0] != input.shape[0]:
            raise ValueError(f"{name}: expected a grid for each of {input.shape[0]} inputs, got {grid.shape[0]}")
        if not input.is_floating_point():
            raise ValueError(f"{name}: expected a floating-point input, got {input.dtype}")
        if grid.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"{name}: expected a grid in float32 or float64 (half precision is off by pixels), got {grid.dtype}"
            )


def frame_mean(input: Tensor) -> Tensor:
    """The mean of the outermost pixels of each sample and channel: (B, C, 1, 1) of (B, C, H, W), and so in other spaces."""
    inside = torch.ones((), dtype=torch.bool, device=input.device)
    for size in input.shape[2:]:
        place = torch.arange(size, device=input.device)
        inside = inside.unsqueeze(-1) & (place > 0) & (place < size - 1)
    frame = (~inside).to(input.dtype)
    axes = list(range(2, input.ndim))
    return (input * frame).sum(axes, keepdim=True) / frame.sum()
