"""The kernels of ``torch.nn.functional.grid_sample``, in one dimension too."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from stn_lightning.geometry import grid_sample, normalised_to_pixel
from stn_lightning.samplers._gathered import gathered
from stn_lightning.samplers._sampler import PaddingMode, Sampler


class Interpolation(Sampler):
    """A kernel of ``torch.nn.functional.grid_sample``, with a backward pass that can be deterministic.

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` pixels, its ``reflection``, or its mean
            ``background``, see ``Sampler``.
        deterministic: read by ``torch.index_select``, see ``Bilinear``.

    Attributes:
        mode: the name that grid_sample has for the kernel.
    """

    mode: ClassVar[str]

    def __init__(self, padding_mode: PaddingMode = "zeros", deterministic: bool = False) -> None:
        super().__init__(padding_mode)
        self.deterministic = deterministic

    @staticmethod
    @abstractmethod
    def kernel(pixel: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """The first pixel that is read for one coordinate of the points, and the weights of that one and its successors."""

    def sample(self, input: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
        if not (self.deterministic or (input.is_cuda and torch.are_deterministic_algorithms_enabled())):
            return grid_sample(input, grid, self.mode, self.padding_mode, align_corners)
        points = normalised_to_pixel(grid.flatten(1, -2), input.shape[2:], align_corners)
        # zeros: a frame of zeros that goes on
        margin = int(self.padding_mode == "zeros")
        framed = F.pad(input, [margin] * (2 * self.ndim))
        output = gathered(framed, points, self.kernel, self.padding_mode, align_corners, margin)
        return output.view(*input.shape[:2], *grid.shape[1:-1])
